"""How the pages look. Colours come from Gradio's variables, so light and dark mode follow the visitor's system."""

from __future__ import annotations

from typing import Any

from core.web.pages.scripts import script

CSS = """
html, body { overflow-x: clip; }
html { scroll-padding-bottom: 5rem; } /* what gets the focus comes to lie above the buttons that stay at the lower edge */
.nav-holder { display: none !important; } /* Gradio lists the languages there as pages */
.gradio-container { width: 100% !important; max-width: 1120px !important; margin: 0 auto !important; }
.gradio-container { overflow: clip !important; } /* hidden, it would scroll, and what sticks to an edge of the window would not */
.gradio-container .app, .gradio-container .app > .wrap, .gradio-container .app .contain { width: 100% !important; }
.th-html .html-container { padding: 0 !important; }
#th-events, #th-words { display: none; }
.th-head { display: flex; justify-content: space-between; align-items: flex-start; gap: 1rem; }
.th-language, .th-link { color: var(--link-text-color); text-decoration: underline; text-underline-offset: 0.2em; }
.th-language { margin-top: 0.9rem; font-size: 0.95rem; white-space: nowrap; }
.th-head h1 { margin: 0.4rem 0 0.1rem; font-size: 1.7rem; font-weight: 650; letter-spacing: -0.015em; }
.th-head p { margin: 0 0 0.4rem; color: var(--body-text-color-subdued); font-size: 1rem; }
.th-status { padding: 0.75rem 0.9rem; border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); color: var(--body-text-color); line-height: 1.5; font-size: 0.95rem; overflow-wrap: anywhere; }
.th-idle { color: var(--body-text-color-subdued); }
.th-row { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0.2rem 1rem; font-variant-numeric: tabular-nums; }
.th-row span { color: var(--body-text-color-subdued); }
.th-bar { height: 6px; margin-top: 0.55rem; border-radius: 3px; overflow: hidden; background: var(--border-color-primary); }
.th-bar i { display: block; height: 100%; border-radius: 3px; background: var(--color-accent); transition: width 0.2s linear; }
.th-moving i { width: 30% !important; animation: th-move 1.4s ease-in-out infinite alternate; }
@keyframes th-move { from { margin-left: 0; } to { margin-left: 70%; } }
@media (prefers-reduced-motion: reduce) { .th-moving i { animation: none; } .th-bar i { transition: none; } }
.th-facts { font-variant-numeric: tabular-nums; }
.th-status .th-note { padding: 0; border: 0; margin-top: 0.35rem; color: var(--body-text-color-subdued); }
.th-warning { margin-top: 0.4rem; padding: 0.45rem 0.7rem; font-size: 0.9rem; }
.th-error { border-color: var(--error-border-color, #dc2626); background: var(--error-background-fill, #fef2f2);
  color: var(--error-text-color, #b91c1c); }
.th-error b { display: block; }
.th-status > b + .th-facts { margin-top: 0.15rem; }
.th-quiet { margin: 0; color: var(--body-text-color-subdued); font-size: 0.9rem; line-height: 1.45; }
.th-inset { padding: 0.75rem 0.9rem; background: var(--block-background-fill); }
.th-plain-column { gap: var(--layout-gap); }
.th-cards p { margin: 0 0 0.4rem; color: var(--body-text-color-subdued); font-size: 0.9rem; }
.th-cards > div { display: flex; flex-wrap: wrap; gap: 0.6rem; }
.th-card { width: 6.4rem; padding: 0.35rem; border: 2px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); color: var(--body-text-color); font: inherit; font-size: 0.85rem; cursor: pointer; }
.th-card img, .th-card i { display: block; width: 100%; aspect-ratio: 1; margin: 0 !important; border-radius: var(--radius-md);
  object-fit: cover; }
.th-card i { display: grid; place-items: center; background: var(--background-fill-secondary); font-size: 2rem; font-style: normal;
  color: var(--body-text-color-subdued); }
.th-card span { display: block; margin-top: 0.3rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.th-card img.th-moving { display: none; }
@media (prefers-reduced-motion: no-preference) {
  .th-card:is(:hover, :focus-visible) img.th-moving { display: block; }
  .th-card:is(:hover, :focus-visible) img.th-still-picture { display: none; }
}
.th-card:hover { border-color: var(--body-text-color-subdued); }
.th-card[aria-pressed="true"] { border-color: var(--color-accent); background: var(--color-accent-soft); }
.th-card:focus-visible, .th-language:focus-visible, .th-link:focus-visible, .gradio-container button:focus-visible {
  outline: 3px solid var(--color-accent); outline-offset: 2px; }
.th-results { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 1rem; margin: 0.6rem 0 0 !important;
  padding: 0 !important; list-style: none !important; }
.th-results li { display: flex; flex-direction: column; gap: 0.4rem; margin: 0 !important; padding: 0.6rem; font-size: 0.85rem;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); background: var(--block-background-fill); }
.th-results li::marker { content: none; }
.th-results video { width: 100%; aspect-ratio: 1; border-radius: var(--radius-md); background: var(--background-fill-secondary); }
.th-results span { color: var(--body-text-color-subdued); }
.th-results b { overflow-wrap: anywhere; }
.th-results form { display: flex; flex-wrap: wrap; gap: 0.3rem; margin: 0; }
.th-results form[hidden], .th-results b[hidden] { display: none; }
.th-results input { flex: 1 1 100%; min-width: 0; min-height: 36px; padding: 0.3rem 0.5rem; border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-md); font: inherit; background: var(--input-background-fill); color: var(--body-text-color); }
.th-does { display: flex; flex-wrap: wrap; gap: 0.3rem; margin-top: auto; }
#th-results .th-results button { margin: 0; padding: 0.25rem 0.6rem; border: 1px solid var(--border-color-primary); cursor: pointer;
  border-radius: var(--radius-md); font: inherit; background: var(--button-secondary-background-fill);
  color: var(--button-secondary-text-color); }
#th-results .th-results button[data-sure] { border-color: transparent; background: var(--button-cancel-background-fill);
  color: var(--button-cancel-text-color); }
.th-stage .th-screen video { position: absolute; inset: 0; opacity: 0; transition: opacity 0.3s linear; }
.th-stage video.th-front { z-index: 1; opacity: 1 !important; }
.th-stage-note { min-height: 1.5em; margin: 0.4rem 0 0; text-align: center; color: var(--body-text-color-subdued);
  font-variant-numeric: tabular-nums; }
.th-written { gap: 0.6rem; }
.th-count .html-container > * { text-align: right; }
.th-over { color: var(--error-text-color, #b91c1c); font-weight: 600; }
.th-heard { display: block; width: 100%; height: 40px; }
.dark .th-heard, .dark video { color-scheme: dark; }
.th-captions { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 1rem; font-size: 0.9rem; }
.th-captions label { display: inline-flex; align-items: center; gap: 0.4rem; min-height: 2rem; cursor: pointer; }
.th-table { margin-top: 0.8rem; }
.th-table h2 { margin: 0 0 0.35rem; font-size: 1rem; font-weight: 600; }
.th-table p { margin: 0; }
.th-scroll { overflow-x: auto; }
.th-table table { border: 0 !important; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
.th-table th, .th-table td { padding: 0.3rem 1.2rem 0.3rem 0; border: 0; border-bottom: 1px solid var(--border-color-primary);
  text-align: left; font-weight: 400; vertical-align: top; }
.th-table tr { border: 0 !important; }
.th-scroll th, .th-scroll td { white-space: nowrap; }
.th-table thead th, .th-table th[scope="row"] { color: var(--body-text-color-subdued); }
#th-video video { background: var(--background-fill-secondary); }
footer .divider { display: none; }
/* in a media query Gradio puts every selector below its content */
@media (max-width: 640px) {
  .tab-container button { flex: 1 1 auto; justify-content: center; min-width: 44px; padding: 0 !important; font-size: 0.8rem !important; }
  .th-head { align-items: center; }
  .th-head .th-language { margin: 0 !important; }
  .th-head h1 { font-size: 1.45rem; }
  .th-table th, .th-table td { padding-right: 0.5rem; }
  .th-scroll thead { display: none; }
  .th-scroll tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0.3rem 0;
    border-bottom: 1px solid var(--border-color-primary) !important; }
  .th-scroll th, .th-scroll td { padding: 0; border: 0; white-space: normal; }
  .th-scroll th { flex: 1 0 100%; }
  .th-scroll td::before { content: attr(data-of) " "; color: var(--body-text-color-subdued); }
  .th-head p { font-size: 0.95rem; }
}
""" + script("layout.css", "hand.css", "player.css", "live.css", "chat.css", "examples.css", "preview.css", "sharing.css")


def theme() -> Any:
    """Gradio's default theme with the system's own fonts: nothing is fetched for it."""
    import gradio as gr

    return gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    ).set(  # at least 4.5:1 in both modes
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_200",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_cancel_background_fill="#dc2626",
        button_cancel_background_fill_hover="#b91c1c",
        button_cancel_background_fill_dark="#b91c1c",
        color_accent="*primary_600",
        link_text_color_dark="*primary_300",
        link_text_color_visited_dark="*primary_300",
        link_text_color_hover_dark="*primary_200",
    )
