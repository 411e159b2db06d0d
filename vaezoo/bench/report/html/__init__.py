"""report.html: a run as one page that needs nothing else, neither a network nor a file beside it.

Jinja2 fills `report.html`, every text escaped, and puts `style.css` and `script.js` into it: by
their SHA-256 they are all that the page's Content-Security-Policy lets run.

No library of charts: those that embed are 1 MB and more (Vega, Plotly), draw nothing before their
script has run, and Vega needs `eval`, which the policy forbids. A scatter of a hundred names is an
SVG that the template writes: it is there without the script, prints, and its points can be read by
a screen reader; the script only adds hover, keys and the filter. What matplotlib drew is embedded
as it lies in figures/.
"""
