from spacec.syntax import ast


def format_expression(e: ast.Expr) -> str:
    return "".join(e.span.text.split())
