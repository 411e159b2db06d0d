"""What `make docs` writes on the pages. Everything between a mark and its `<!-- end -->` is
written; all else on a page is prose, which is kept and wrapped at 100 columns.

<!-- rows: vae, iwae -->      every row of these variants in digits/elbo.md and digits/fid.md
<!-- rows: family -->         the same of all variants of a family, on the family's page
<!-- table: jsb/elbo.md: elbo per step, kl -->     that file's first table, these columns only
<!-- variants -->             what the registry says of each variant of the page's family
<!-- families: bounds, … -->  a row for each family's page, in this order
<!-- board -->                every published table beside ours
<!-- layout -->               the rows of the import rule
"""
