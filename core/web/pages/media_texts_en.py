"""What the pages say of photos, recordings and options in English."""

from __future__ import annotations

from core.web.pages.media_texts import MediaErrors, NoticeTexts

ERRORS = MediaErrors(
    photo_too_large="{name} is too large: {width} × {height} pixels. At most {limit} million pixels are taken; save it smaller.",
    photo_too_small="{name} is too small: {width} × {height} pixels. Each side needs at least {least}, and the face alone about 200.",
    photo_is_recording="{name} is a recording, not a photo. Were photo and recording swapped?",
    photo_not_image="{name} is not a photo that can be used here. Give one of: {formats}.",
    photo_animated="{name} is an animation. Give a single picture.",
    photo_damaged="{name} is damaged or not complete. Save it again, or use another photo.",
    video_damaged="{name} is damaged or not complete. Save it again, or use another video.",
    photos_only="The {engine} engine animates photos only. Give a photo, or choose another engine.",
    face_none="No face was found in this photo. Use a sharp, evenly lit photo that shows one person from the front, the whole face in it.",
    face_missing="Face {index} was asked for, counted from 0, the largest; the photo shows {found}. Choose another one.",
    face_negative="There is no face {value}. Faces are counted from 0, the largest.",
    face_cut_off="The face is cut off by the edge ({share} of it is outside). Use a photo that shows the whole face.",
    face_without_eyes="A face was found, but not its eyes. Use a sharp, evenly lit photo that shows one person from the front.",
    face_lost="The face is lost after {seconds} s of the video. Use the part before, or a video that shows it throughout.",
    recording_is_photo="{name} is a picture, not a recording. Were photo and recording swapped?",
    recording_not_sound="{name} is not a recording that can be used here. Give one of: {formats}.",
    recording_mute="{name} is a video without sound. Give a recording of speech.",
    recording_bad_format="The sound in {name} is stored in a way that cannot be used. Save it again as WAV or MP3.",
    recording_damaged="{name} is damaged or not complete. Save it again, or use another recording.",
    recording_too_long="{name} is too long. At most {limit_s} seconds are taken; shorten it.",
    recording_too_short="{name} is too short. It must last at least {least_ms} ms.",
    recording_empty="{name} holds no sound. Record it again.",
    file_empty="{name} is empty. Choose another file.",
    option_not_honoured="The {engine} engine does not know the setting {name}. Leave it as it was, or choose another engine.",
    preset_not_honoured="The {engine} engine does not know the preset {name}. Choose another engine, or no preset.",
    option_out_of_range="{name} is {value}. It must lie between {low} and {high}.",
    size_out_of_range="The video size is {value}. It must be an even number of pixels from {low} to {high}.",
    bad_aspect="The format is {value}. Choose one of: {offered}.",
    bad_crop="The part of the photo is {value}. It must be four numbers from 0 to 1: left, top, width and height.",
    bad_background="The background is {value}. It can stay, be blurred, or be a colour such as #00b140.",
    unknown_preset="There is no preset {name}. Choose one of: {offered}.",
    unknown_option="There is no setting {name}.",
    not_a_number="{name} is {value}. It must be a number.",
    engine_not_offered="The {engine} engine is not offered here. Choose lite, or automatic.",
    engine_not_fetched="The files of the {engine} engine were not fetched here. Choose lite, or automatic.",
    too_many_avatars="You have {n} avatars already, as many as are possible. Delete one that you do not need any more.",
    unknown_avatar="This avatar does not exist any more. Choose another one, or a new photo.",
    avatar_damaged="The kept photo of this avatar is damaged. Register the person again.",
    name_too_long="The name has {n} characters. At most {limit} are possible.",
    consent_missing_avatar="This avatar was registered without the consent of the person. Register the photo again and tick it.",
)

NOTICES = NoticeTexts(
    face_small="The face is small ({px} pixels between the eyes): a larger or closer photo looks sharper.",
    crop_small="The face is small (about {px} pixels): a larger or closer photo looks sharper.",
    face_turned="The head is turned {degrees}° to the side: a photo from the front animates better.",
    face_blurred="The face is blurred: a sharper photo gives a sharper video.",
    face_dark="The face is dark: a photo in more light shows it better.",
    mouth_covered="The mouth seems to be covered: lips that move need a photo that shows them.",
    sound_cut_off="The recording is damaged or cut off; the {used} that could be read are used.",
    sound_clipped="The sound is clipped: it was recorded too loud. A lower level gives better lips.",
    sound_silent="The recording is silent: the mouth stays closed.",
    sound_quiet="The recording is very quiet ({db} dB): move closer to the microphone or raise its level.",
    sound_noisy="There seems to be much noise or music: the lips follow clear speech best.",
    video_cut="Only the first {seconds} seconds of the video are used; it plays forth and back.",
    background_kept="The person could not be told from the background; it stays as it is.",
    sync_unlike="The lips may not follow this sound (confidence {confidence}, by chance up to {least}): music, noise or several voices in "
    "the recording make speech hard to follow.",
    sync_still="The lips hardly move with the speech (confidence {confidence}, by chance up to {least}): the mouth may be covered, or "
    "too small.",
    sync_face_lost="Whether the lips fit the speech is not known (confidence {confidence}, by chance up to {least}): the face is seldom "
    "seen.",
    sync_late="The lips are {ms} ms later than the sound.",
    sync_early="The lips are {ms} ms earlier than the sound.",
    frames_skipped="{seconds} of {total} seconds show the video as it was: no face that can be animated is there.",
    crop_moved="The chosen part of the photo left out the face; it was moved to keep the face in.",
)
