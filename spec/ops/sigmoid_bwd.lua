-- sigmoid_bwd runs as the gradient of sigmoid; its samples are there.
return { samples = {}, backward_of = "sigmoid" }
