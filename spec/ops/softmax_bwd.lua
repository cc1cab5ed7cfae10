-- softmax_bwd runs as the gradient of softmax; its samples are there.
return { samples = {}, backward_of = "softmax" }
