// Which files can be chosen. Gradio's own list leaves out formats that the server takes, and judges a file by the kind its name tells the
// browser. Here every format is offered that is promised; whether a file is what it says, the server finds out from its content.

{
  const words = element.querySelector('[data-language]').dataset;
  const KINDS = {
    image: words.photoEndings.split(' '), person: words.personEndings.split(' '), audio: words.soundEndings.split(' '),
  };

  const TYPES = { image: 'image', person: 'image', audio: 'audio' }; // what the components ask for: those of persons show images only
  const PERSONS = '#th-photo, #th-stream-photo, #th-chat-photo, #th-live-photo, #th-avatar-photo';
  const PICTURES = '#th-background-picture, #th-stream-background-picture, #th-live-background-picture, '
    + '#th-chat-background-picture';

  const kindOf = (input) => (input.closest(PERSONS) ? 'person' : input.closest(PICTURES) ? 'image' : 'audio');
  const ours = (node) => node.closest?.(`${PERSONS}, ${PICTURES}, #th-speech, #th-stream-speech`);
  const ending = (name) => name.slice(name.lastIndexOf('.') + 1).toLowerCase();

  // The same bytes under the kind that the component asks for. Gradio would refuse others with a list of MIME types, in English.
  function named(file, kind) {
    if (file.type.startsWith(`${TYPES[kind]}/`)) return file;
    return new File([file], file.name, { type: `${TYPES[kind]}/${ending(file.name)}` });
  }

  function renamed(files, kind) {
    const given = new DataTransfer();
    for (const file of files) given.items.add(named(file, kind));
    return given.files;
  }

  document.addEventListener('click', (event) => { // before the browser's dialog is opened
    const input = ours(event.target)?.querySelector('input[type=file]');
    if (!input) return;
    const kind = kindOf(input);
    input.accept = [`${TYPES[kind]}/*`, ...(kind === 'person' ? ['video/*'] : []), ...KINDS[kind].map((each) => `.${each}`)].join(',');
  }, true);
  document.addEventListener('change', (event) => {
    if (event.target.type === 'file' && ours(event.target)) event.target.files = renamed(event.target.files, kindOf(event.target));
  }, true);
  document.addEventListener('drop', (event) => {
    const input = ours(event.target)?.querySelector('input[type=file]');
    if (!input || !event.dataTransfer?.files.length) return;
    const files = renamed(event.dataTransfer.files, kindOf(input));
    Object.defineProperty(event, 'dataTransfer', { value: { files } });
  }, true);
}
