-- log_softmax_bwd runs as the gradient of log_softmax; its samples are there.
return { samples = {}, backward_of = "log_softmax" }
