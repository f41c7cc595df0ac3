"""How `npm run book` builds: notebooks as they were executed, and pages that fetch nothing from elsewhere."""

project = "voxelbook"
html_title = "voxelbook"
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "use_fullscreen_button": False,
    # Search stands in the side bar; a second one in a bar above the page is one too many.
    "navbar_start": [],
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],
    "footer_content_items": [],
}
html_static_path = ["_static"]
html_css_files = ["book.css"]

# Links to headings, as guides and reference have them: every level counts for the numbers behind names that come again.
myst_heading_anchors = 7

nb_execution_mode = "off"
nb_merge_streams = True
# Scripts of widgets and formulas would come from the network; no notebook here uses either.
nb_ipywidgets_js = {}
# Figures carry plotly data beside the picture that is shown; the highlighter does not know every regular expression.
# Links of guides are checked by npm run check; of the reference, four names that differ in capitals alone share a heading.
suppress_warnings = ["myst.xref_missing", "mystnb.unknown_mime_type", "misc.highlighting_failure", "toc.not_included"]
