"""One HTML page of an evaluation, a comparison or an ablation, which opens from a file without a network.

::

    subject = read_subject([Path("runs/ce")])                  # or evaluated(run), compared(report, runs), ...
    make_page(subject, Making(Path("report.html")))

subject   what a page is about: a report and its evaluations       making   the page of a subject, written
page      the page as data                                         writing  templates and data -> HTML
sections  tables and charts in the order of the page               grid, matrix   tables as cells
figures   charts of tables      drawn  charts of evaluations        charts   shapes at positions in an SVG
choosing  which images are embedded                                pictures  their pixels, as WebP and indexed PNG
privacy   no absolute path, user or host name                       verdicts  the result in a sentence
"""
