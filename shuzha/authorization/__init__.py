"""Who may use which public data for what: authorization, agreement, scenario demand, grant."""
