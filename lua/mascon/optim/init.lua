--- mascon.optim: optimizers.

return {
  SGD = require "mascon.optim.sgd",
  Adam = require "mascon.optim.adam",
}
