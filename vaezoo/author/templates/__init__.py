"""First files: each is a plugin as it stands, in which `vaezoo new` puts another name for
`newcomer`.
"""
