-- mse_loss_bwd runs as the gradient of mse_loss; its samples are there.
return { samples = {}, backward_of = "mse_loss" }
