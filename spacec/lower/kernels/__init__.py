"""How one op is computed: the library's kernel, a rewriting of it by library calls, or generated code."""
