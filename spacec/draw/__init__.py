"""Pictures of spaces: their structure read from the graph, laid out, and written as SVG, dot or Mermaid."""
