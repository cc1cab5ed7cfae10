--- optim.SGD: gradient descent with momentum, in one fused operation per step.

local optimizer = require "mascon.optim.optimizer"
local options = require "mascon.options"

local SGD = {
  class_name = "SGD",
  spec = {
    { "lr", 1e-3, "number", min = 0 }, { "momentum", 0, "number", min = 0 },
    { "dampening", 0, "number" }, { "weight_decay", 0, "number", min = 0 },
    { "nesterov", false, "boolean" }, { "maximize", false, "boolean" },
  },
  state_names = { "momentum_buffer" },
}

function SGD.check_options(group)
  if group.nesterov and (group.momentum <= 0 or group.dampening ~= 0) then
    options.fail("SGD", ("nesterov needs a momentum above 0 and no dampening; momentum is %s, "
      .. "dampening is %s"):format(options.show(group.momentum), options.show(group.dampening)))
  end
end

function SGD.new_state()
  return {}
end

--- The first step with momentum sets the buffer instead of adding to it.
function SGD.key(s, group)
  return group.momentum ~= 0 and not s.momentum_buffer and 1 or 0
end

local momenta, none = { "momentum_buffer" }, {}

function SGD:given(group)
  local given = self.work.options
  given.lr, given.momentum, given.dampening = group.lr, group.momentum, group.dampening
  given.weight_decay, given.nesterov = group.weight_decay, group.nesterov
  given.maximize, given.first = group.maximize, self.work.first or false
  return given
end

function SGD:run(group, params, grads, n)
  self.work.first = false
  if group.momentum ~= 0 then
    for i = 1, n do
      local s = self.state[params[i]]
      if not s.momentum_buffer then
        s.momentum_buffer = optimizer.zeros_like(params[i], "SGD")
        self.work.first = true
      end
    end
  end
  self:apply("sgd", group, params, grads, n, group.momentum ~= 0 and momenta or none)
  self.work.first = false
end

--- optim.SGD(params, {lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false,
--- maximize = false})
return optimizer.define(SGD)
