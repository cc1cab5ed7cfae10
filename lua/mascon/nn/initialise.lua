--- nn.init: values for new parameters, drawn in place, outside of any graph.
-- Numbers are always drawn on the CPU, element by element in logical order, so that neither device nor
-- layout changes a network's first values.

local autograd = require "mascon.autograd"
local create = require "mascon.create"
local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"

local M = {}

local function check_tensor(name, t)
  if not layer.is_tensor(t) then
    options.fail(name, ("argument 1 is %s; expected a tensor"):format(options.show(t)))
  end
end

local function check_number(name, what, v, low)
  options.check(name, { what, nil, "number", min = low }, v)
end

local skipping = false

--- Returns what fn(...) returns; while it runs, the functions of this file leave tensors as they are:
--- for a network whose values are loaded next.
function M.skip(fn, ...)
  local before = skipping
  skipping = true
  local function finish(good, ...)
    skipping = before
    if not good then
      error((...), 0)
    end
    return ...
  end
  return finish(pcall(fn, ...))
end

--- Fills t by an op that writes in place.
local function write(t, name, ...)
  if skipping then
    return t
  end
  local args, n = { ... }, select("#", ...)
  return autograd.no_grad(function()
    if t.device == "cpu" then
      op.run(name, name .. "_", true, t, unpack(args, 1, n))
    else
      local host = create.new(name, t.shape, t.dtype, "cpu")
      op.run(name, name .. "_", true, host, unpack(args, 1, n))
      t:copy_(host:to(t.device))
    end
    return t
  end)
end

--- Uniform numbers between a and b.
function M.uniform_(t, a, b)
  check_tensor("uniform_", t)
  a, b = a or 0, b or 1
  check_number("uniform_", "a", a)
  check_number("uniform_", "b", b)
  return write(t, "uniform", a, b)
end

--- Normal numbers.
function M.normal_(t, mean, std)
  check_tensor("normal_", t)
  mean, std = mean or 0, std or 1
  check_number("normal_", "mean", mean)
  check_number("normal_", "std", std, 0)
  return write(t, "normal", mean, std)
end

function M.constant_(t, value)
  check_tensor("constant_", t)
  check_number("constant_", "value", value)
  return write(t, "fill", value)
end

function M.zeros_(t)
  check_tensor("zeros_", t)
  return write(t, "fill", 0)
end

function M.ones_(t)
  check_tensor("ones_", t)
  return write(t, "fill", 1)
end

--- Inputs and outputs that one value of a weight {out, in, …} is connected with.
---@return integer fan_in, integer fan_out
local function fans(name, t)
  local shape = t.shape
  if #shape < 2 then
    options.fail(name, ("tensor has %d dimensions; needs 2 or more: {out, in, ...}"):format(#shape))
  end
  local field = 1
  for d = 3, #shape do
    field = field * shape[d]
  end
  return shape[2] * field, shape[1] * field
end

local gains = {
  linear = 1, sigmoid = 1, conv1d = 1, conv2d = 1, tanh = 5 / 3, relu = math.sqrt(2), selu = 3 / 4,
}

--- The factor that keeps the spread of values through a kind of layer.
---@param nonlinearity string
---@param param? number slope of leaky_relu
---@return number
function M.calculate_gain(nonlinearity, param)
  if nonlinearity == "leaky_relu" then
    return math.sqrt(2 / (1 + (param or 0.01) ^ 2))
  end
  local gain = gains[nonlinearity]
  if not gain then
    options.fail("calculate_gain", ("unknown nonlinearity %s"):format(options.show(nonlinearity)),
      "linear, conv1d, conv2d, sigmoid, tanh, relu, leaky_relu, selu")
  end
  return gain
end

local function kaiming_std(name, t, given)
  check_tensor(name, t)
  local o = options.read(name, given, {
    { "a", 0, "number" }, { "mode", "fan_in", "string", choices = { "fan_in", "fan_out" } },
    { "nonlinearity", "leaky_relu", "string" },
  })
  local fan_in, fan_out = fans(name, t)
  local fan = o.mode == "fan_in" and fan_in or fan_out
  return M.calculate_gain(o.nonlinearity, o.a) / math.sqrt(math.max(fan, 1))
end

--- He's initial values, uniform.
---@param t mascon.Tensor {out, in, …}
---@param given? table a = 0, mode = "fan_in", nonlinearity = "leaky_relu"
function M.kaiming_uniform_(t, given)
  local bound = math.sqrt(3) * kaiming_std("kaiming_uniform_", t, given)
  return write(t, "uniform", -bound, bound)
end

--- He's initial values, normal.
---@param t mascon.Tensor {out, in, …}
---@param given? table a = 0, mode = "fan_in", nonlinearity = "leaky_relu"
function M.kaiming_normal_(t, given)
  return write(t, "normal", 0, kaiming_std("kaiming_normal_", t, given))
end

local function xavier_std(name, t, given)
  check_tensor(name, t)
  local o = options.read(name, given, { { "gain", 1, "number" } })
  local fan_in, fan_out = fans(name, t)
  return o.gain * math.sqrt(2 / math.max(fan_in + fan_out, 1))
end

--- Glorot's initial values, uniform.
---@param t mascon.Tensor {out, in, …}
---@param given? table gain = 1
function M.xavier_uniform_(t, given)
  local bound = math.sqrt(3) * xavier_std("xavier_uniform_", t, given)
  return write(t, "uniform", -bound, bound)
end

--- Glorot's initial values, normal.
---@param t mascon.Tensor {out, in, …}
---@param given? table gain = 1
function M.xavier_normal_(t, given)
  return write(t, "normal", 0, xavier_std("xavier_normal_", t, given))
end

--- The first values of PyTorch's linear and convolution layers.
---@param weight mascon.Tensor {out, in, …}
---@param bias? mascon.Tensor {out}
function M.reset_layer(weight, bias)
  M.kaiming_uniform_(weight, { a = math.sqrt(5) })
  if bias then
    local fan_in = fans("reset_layer", weight)
    local bound = fan_in > 0 and 1 / math.sqrt(fan_in) or 0
    write(bias, "uniform", -bound, bound)
  end
end

return M
