-- linear_bwd_weight runs as the gradient of linear; its samples are there.
return { samples = {}, backward_of = "linear" }
