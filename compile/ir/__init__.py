"""The intermediate representations: graph, operators, plan. They import nothing else of the compiler."""
