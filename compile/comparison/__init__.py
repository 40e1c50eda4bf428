"""Networks side by side on one target: what each costs there, and how well its paper says it recognises."""
