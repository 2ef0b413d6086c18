// Gradio has some words in English alone, most of them for screen readers: on a page in another language they are said in its own
// (component_labels.py).

{
  const NAMES = ['aria-label', 'title'];
  const words = JSON.parse(element.querySelector('[data-component-labels]').dataset.componentLabels);
  const OURS = '.th-html'; // what stands there is not Gradio's: names of videos, what is said in a chat
  const beginnings = Object.keys(words).filter((each) => each.endsWith(' ')); // what follows differs

  function said(text) {
    const whole = text?.replace(/\s+/g, ' ').trim();
    if (!whole) return null;
    if (words[whole] !== undefined) return words[whole];
    const begin = beginnings.find((each) => whole.startsWith(each));
    return begin === undefined ? null : words[begin].replace('{rest}', whole.slice(begin.length));
  }

  function name(node) {
    if (node.closest(OURS)) return;
    for (const each of NAMES) {
      const own = said(node.getAttribute(each));
      if (own !== null && own !== node.getAttribute(each)) node.setAttribute(each, own);
    }
  }

  function write(text) {
    if (!text.parentElement || text.parentElement.closest(OURS)) return;
    const own = said(text.nodeValue);
    if (own !== null && own !== text.nodeValue) text.nodeValue = own;
  }

  function all(root) {
    if (root.nodeType === Node.TEXT_NODE) write(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    name(root);
    root.querySelectorAll(NAMES.map((each) => `[${each}]`).join()).forEach(name);
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) write(texts.currentNode);
  }

  if (Object.keys(words).length) {
    const page = document.querySelector('.gradio-container');
    new MutationObserver((changes) => changes.forEach(({ type, target, addedNodes }) => {
      if (type === 'attributes') name(target);
      else if (type === 'characterData') write(target);
      else addedNodes.forEach(all);
    })).observe(page, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: NAMES });
    all(page);
  }
}
