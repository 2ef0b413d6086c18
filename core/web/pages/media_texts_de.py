"""What the pages say of photos, recordings and options in German."""

from __future__ import annotations

from core.web.pages.media_texts import MediaErrors, NoticeTexts

ERRORS = MediaErrors(
    photo_too_large="{name} ist zu groß: {width} × {height} Pixel. Höchstens {limit} Millionen Pixel werden angenommen; speichere es "
    "kleiner.",
    photo_too_small="{name} ist zu klein: {width} × {height} Pixel. Jede Seite braucht mindestens {least}, das Gesicht allein etwa 200.",
    photo_is_recording="{name} ist eine Aufnahme, kein Foto. Wurden Foto und Aufnahme vertauscht?",
    photo_not_image="{name} ist kein Foto, das hier verwendet werden kann. Möglich sind: {formats}.",
    photo_damaged="{name} ist beschädigt oder nicht vollständig. Speichere es noch einmal, oder nimm ein anderes Foto.",
    video_damaged="{name} ist beschädigt oder nicht vollständig. Speichere es noch einmal, oder nimm ein anderes Video.",
    frames_too_large="Die Bilder von {name} haben {width}×{height} Bildpunkte; höchstens {limit} werden angesehen. Speichere es kleiner.",
    not_a_video="{name} ist kein Video, das gelesen werden kann. Nimm MP4, MOV, WebM, MKV, AVI, WMV, MPEG, FLV oder GIF.",
    video_codec="{name} hat Bilder in einem Format, das nicht gelesen wird ({codec}). Speichere es mit H.264.",
    photos_only="Das Verfahren {engine} bewegt nur Fotos. Nimm ein Foto, oder wähle ein anderes Verfahren.",
    videos_only="{name} gilt nur für Videos. Lass es weg, oder nimm ein Video statt des Fotos.",
    photo_option="{name} gilt nur für Fotos: in Videos ändert das Verfahren {engine} nur Mund und Kiefer. Lass es, wie es war.",
    face_none="Es ist kein Gesicht zu finden. Nimm ein scharfes, gleichmäßig beleuchtetes Foto oder Video, das eine Person von vorn "
    "zeigt, das ganze Gesicht im Bild.",
    face_missing="Verlangt ist Gesicht {index}, gezählt ab 0, dem größten; zu sehen sind {found}. Wähle ein anderes.",
    face_negative="Ein Gesicht {value} gibt es nicht. Gezählt wird ab 0, dem größten.",
    face_cut_off="Der Rand schneidet das Gesicht ab ({share} davon fehlen). Nimm ein Foto oder Video, das das ganze Gesicht zeigt.",
    face_without_eyes="Ein Gesicht ist zu finden, seine Augen aber nicht. Nimm ein scharfes, gleichmäßig beleuchtetes Foto oder Video "
    "von vorn.",
    landmarks_count="Das Gesicht ist mit {value} statt {needed} Punkten gezeigt. Nötig sind beide Augen, beide Mundwinkel, Lippen und "
    "Kinn.",
    landmarks_point="Der Punkt {point} ist {value}. Nötig sind je zwei Zahlen von 0 bis 1: Anteile an Breite und Höhe des Fotos.",
    landmarks_order="Die Punkte liegen nicht wie in einem Gesicht. Setze die Lippen zwischen Augen und Kinn, unter beide Augen.",
    landmarks_lips="Die Lippen liegen nicht zwischen den Mundwinkeln. Setze sie in die Mitte des Mundes.",
    landmarks_near_eyes="Zwischen den Augen sind {px} Pixel; mindestens {limit} sind nötig. Setze sie weiter auseinander, oder nimm ein "
    "größeres Bild.",
    landmarks_near_mouth="Zwischen den Mundwinkeln sind {px} Pixel; mindestens {limit} sind nötig. Setze sie weiter auseinander, oder "
    "nimm ein größeres Bild.",
    landmarks_near_chin="Zwischen Augen und Kinn sind {px} Pixel; mindestens {limit} sind nötig. Setze das Kinn tiefer, oder nimm ein "
    "größeres Bild.",
    landmarks_far_eyes="Zwischen den Augen sind {px} Pixel, bei diesem Kinn höchstens {limit} möglich. Setze sie näher zusammen, oder "
    "das Kinn tiefer.",
    landmarks_far_mouth="Zwischen den Mundwinkeln sind {px} Pixel, bei diesem Kinn höchstens {limit} möglich. Setze sie näher zusammen, "
    "oder das Kinn tiefer.",
    landmarks_and_face="Ein Gesicht ist von Hand gezeigt, und Gesicht {index} ist auch gewählt. Lass eins von beiden weg.",
    landmarks_not_honoured="Das Verfahren {engine} braucht ein Gesicht, das es selbst findet; dieses ist von Hand gezeigt. Wähle lite "
    "oder automatisch.",
    landmarks_video="Von Hand zeigt man Gesichter in Fotos, und dies ist ein Video. Lass die Punkte weg, oder nimm ein Foto.",
    video_without_face="Kein Teil des Videos zeigt ein Gesicht, das sich animieren lässt. Es muss zumindest eine Weile von vorn, groß "
    "genug und ganz zu sehen sein.",
    recording_is_photo="{name} ist ein Bild, keine Aufnahme. Wurden Foto und Aufnahme vertauscht?",
    recording_not_sound="{name} ist keine Aufnahme, die hier verwendet werden kann. Möglich sind: {formats}.",
    recording_mute="{name} ist ein Video ohne Ton. Nimm eine Aufnahme, auf der jemand spricht.",
    recording_bad_format="Der Ton in {name} ist so gespeichert, dass er nicht verwendet werden kann. Speichere ihn als WAV oder MP3.",
    recording_damaged="{name} ist beschädigt oder nicht vollständig. Speichere sie noch einmal, oder nimm eine andere Aufnahme.",
    recording_too_long="{name} ist zu lang. Höchstens {limit_s} Sekunden werden angenommen; kürze sie.",
    recording_too_short="{name} ist zu kurz. Sie muss mindestens {least_ms} ms lang sein.",
    recording_empty="{name} enthält keinen Ton. Nimm sie noch einmal auf.",
    file_empty="{name} ist leer. Wähle eine andere Datei.",
    option_not_honoured="Das Verfahren {engine} kennt die Einstellung {name} nicht. Lass sie, wie sie war, oder wähle ein anderes.",
    preset_not_honoured="Das Verfahren {engine} kennt die Vorgabe {name} nicht. Wähle ein anderes Verfahren, oder keine Vorgabe.",
    option_out_of_range="{name} ist {value}. Möglich ist {low} bis {high}.",
    bad_choice="{name} ist {value}. Möglich sind: {offered}.",
    size_out_of_range="Die Größe des Videos ist {value}. Möglich ist eine gerade Zahl von Pixeln von {low} bis {high}.",
    bad_aspect="Das Format ist {value}. Möglich sind: {offered}.",
    bad_crop="Der Ausschnitt ist {value}. Nötig sind vier Zahlen von 0 bis 1: links, oben, Breite und Höhe.",
    bad_background="Der Hintergrund ist {value}. Er kann bleiben, unscharf sein oder eine Farbe haben, etwa #00b140.",
    unknown_preset="Eine Vorgabe {name} gibt es nicht. Wähle eine von: {offered}.",
    unknown_option="Eine Einstellung {name} gibt es nicht.",
    not_a_number="{name} ist {value}. Es muss eine Zahl sein.",
    engine_not_offered="Das Verfahren {engine} gibt es hier nicht. Wähle lite oder automatisch.",
    engine_not_fetched="Die Dateien des Verfahrens {engine} wurden hier nicht geholt. Wähle lite oder automatisch.",
    too_many_avatars="Du hast schon {n} Avatare, mehr sind nicht möglich. Lösche einen, den du nicht mehr brauchst.",
    unknown_avatar="Diesen Avatar gibt es nicht mehr. Wähle einen anderen, oder ein neues Foto oder Video.",
    avatar_damaged="Was von diesem Avatar aufgehoben ist, ist beschädigt. Lege die Person noch einmal an.",
    name_too_long="Der Name hat {n} Zeichen. Höchstens {limit} sind möglich.",
    consent_missing_avatar="Dieser Avatar wurde ohne das Einverständnis der Person angelegt. Lege die Person neu an und bestätige es.",
)

NOTICES = NoticeTexts(
    face_small="Das Gesicht ist klein ({px} Pixel zwischen den Augen): Ein größeres oder näheres Bild wird schärfer.",
    crop_small="Das Gesicht ist klein (etwa {px} Pixel): Ein größeres oder näheres Bild wird schärfer.",
    face_turned="Der Kopf ist um {degrees}° zur Seite gedreht: Ein Bild von vorn lässt sich besser bewegen.",
    face_blurred="Das Gesicht ist unscharf: Ein schärferes Bild gibt ein schärferes Video.",
    face_dark="Das Gesicht ist dunkel: Ein Bild mit mehr Licht zeigt es besser.",
    mouth_covered="Der Mund scheint verdeckt zu sein: Lippen, die sich bewegen sollen, müssen im Bild zu sehen sein.",
    eyes_not_seen="Wo die Augen sein sollen, ist nichts wie ein Auge zu sehen: sie blinzeln nicht.",
    sound_cut_off="Die Aufnahme ist beschädigt oder abgeschnitten; verwendet wird, was zu lesen war ({used} s).",
    sound_cut_short="Die Aufnahme ist beschädigt oder abgeschnitten; verwendet wird, was zu lesen war ({used} s von {total} s).",
    sound_clipped="Die Aufnahme ist übersteuert: Sie wurde zu laut aufgenommen. Ein niedrigerer Pegel gibt bessere Lippen.",
    sound_silent="Auf der Aufnahme ist nichts zu hören: Der Mund bleibt zu.",
    sound_quiet="Die Aufnahme ist sehr leise ({db} dB): Sprich näher am Mikrofon, oder stelle es lauter.",
    sound_noisy="Auf der Aufnahme ist viel Rauschen oder Musik: Die Lippen folgen deutlicher Sprache am besten.",
    video_cut="Nur die ersten {seconds} Sekunden des Videos werden verwendet.",
    video_hdr="Das Video ist HDR: Sein Licht wurde auf das umgerechnet, was ein gewöhnlicher Bildschirm zeigt.",
    video_interlaced="Das Video hat Halbbilder (interlaced): Sie wurden zu ganzen Bildern zusammengesetzt.",
    background_mute="Das Video hat keinen Ton, der unter der Sprache erhalten werden könnte.",
    background_kept="Die Person war nicht vom Hintergrund zu trennen; er bleibt, wie er ist.",
    transcript_unlike="Der Wortlaut passt nicht zur Aufnahme oder ist nicht englisch, daher folgen die Lippen nur dem Klang.",
    photo_first_picture="Die Datei enthält mehrere Bilder: Das erste wird verwendet.",
    photo_turned="Die Person liegt im Foto oder steht auf dem Kopf: Es wurde aufgerichtet.",
    captions_failed="Die Wörter der Aufnahme waren nicht zu erkennen, daher gibt es keine Untertitel.",
    sync_unlike="Die Lippen folgen diesem Ton vielleicht nicht (Verlässlichkeit {confidence}, zufällig bis {least}): Musik, Geräusche oder "
    "mehrere Stimmen in der Aufnahme verdecken die Sprache.",
    sync_still="Die Lippen bewegen sich kaum mit der Sprache (Verlässlichkeit {confidence}, zufällig bis {least}): Der Mund ist vielleicht "
    "verdeckt oder zu klein.",
    sync_face_lost="Ob die Lippen zur Sprache passen, ist nicht bekannt (Verlässlichkeit {confidence}, zufällig bis {least}): Das Gesicht "
    "ist selten zu sehen.",
    sync_late="Die Lippen kommen {ms} ms nach dem Ton.",
    sync_early="Die Lippen kommen {ms} ms vor dem Ton.",
    frames_skipped="{seconds} von {total} Sekunden zeigen das Video, wie es war: Dort ist kein Gesicht, das sich animieren lässt.",
    crop_moved="Im gewählten Ausschnitt fehlte das Gesicht; er wurde so verschoben, dass es darin ist.",
)
