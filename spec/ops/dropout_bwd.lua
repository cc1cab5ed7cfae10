-- dropout_bwd runs as the gradient of dropout; its samples are there.
return { samples = {}, backward_of = "dropout" }
