"""The three data structures between the phases: the graph, its operators, the plan. They import nothing else of it."""
