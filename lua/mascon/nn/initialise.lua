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
    options.fail(name, ("tensor has %d dimension%s; needs 2 or more: {out, in, ...}"):format(#shape,
      #shape == 1 and "" or "s"))
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

--- Fills t with what make() returns, a float64 tensor of t's shape on the CPU.
local function fill_with(t, make)
  if not skipping then
    autograd.no_grad(function()
      t:copy_(make():to(t.dtype):to(t.device))
    end)
  end
  return t
end

--- Where the error function is p; p {…} in [-1, 1]. A close formula, then Newton's steps.
local function inverse_erf(p)
  p = p:clamp { min = 2 ^ -53 - 1, max = 1 - 2 ^ -53 }
  local logarithm, k = (1 - p * p):log(), 2 / (math.pi * 0.147)
  local half = k + logarithm * 0.5
  local x = p:sign() * ((half * half - logarithm * (1 / 0.147)):sqrt() - half):clamp { min = 0 }:sqrt()
  for _ = 1, 4 do
    x = x - (x:erf() - p) * (x * x):exp() * (math.sqrt(math.pi) / 2)
  end
  return x
end

--- The error function of a number.
local function erf(x)
  return create.full({}, x, { dtype = "float64" }):erf():item()
end

--- Normal numbers of which none lies outside of a..b.
---@param t mascon.Tensor
---@param mean? number default 0
---@param std? number default 1
---@param a? number default -2
---@param b? number default 2
function M.trunc_normal_(t, mean, std, a, b)
  check_tensor("trunc_normal_", t)
  mean, std, a, b = mean or 0, std or 1, a or -2, b or 2
  check_number("trunc_normal_", "mean", mean)
  check_number("trunc_normal_", "std", std, 0)
  check_number("trunc_normal_", "a", a)
  check_number("trunc_normal_", "b", b)
  if a > b then
    options.fail("trunc_normal_", ("a is %g and b is %g; expected a <= b"):format(a, b))
  end
  return fill_with(t, function()
    if std == 0 or a == b then
      return create.full(t.shape, math.min(math.max(mean, a), b), { dtype = "float64" })
    end
    local low, high = erf((a - mean) / (std * math.sqrt(2))), erf((b - mean) / (std * math.sqrt(2)))
    local p = create.new("trunc_normal_", t.shape, "float64", "cpu")
    op.run("uniform", "uniform_", true, p, low, math.max(high, low + 2 ^ -53))
    return (inverse_erf(p) * (std * math.sqrt(2)) + mean):clamp { min = a, max = b }
  end)
end

--- Makes the rows of a list of lists of numbers orthonormal, each against those before it; twice, since
--- one pass leaves the rounding of long rows behind.
local function orthonormalise(rows)
  for i, row in ipairs(rows) do
    for pass = 1, 2 * (i - 1) do
      local other, product = rows[(pass - 1) % (i - 1) + 1], 0
      for k = 1, #row do
        product = product + row[k] * other[k]
      end
      for k = 1, #row do
        row[k] = row[k] - product * other[k]
      end
    end
    local squares = 0
    for k = 1, #row do
      squares = squares + row[k] * row[k]
    end
    local scale = 1 / math.sqrt(squares)
    for k = 1, #row do
      row[k] = row[k] * scale
    end
  end
  return rows
end

--- A random matrix {size 1, all the rest} whose rows, or columns where there are more rows, are
--- orthogonal and of length gain.
---@param t mascon.Tensor of 2 dimensions or more
---@param given? table gain = 1
function M.orthogonal_(t, given)
  check_tensor("orthogonal_", t)
  local o = options.read("orthogonal_", given, { { "gain", 1, "number" } })
  local shape = t.shape
  if #shape < 2 then
    options.fail("orthogonal_", ("tensor has %d dimension%s; needs 2 or more"):format(#shape,
      #shape == 1 and "" or "s"))
  elseif t:numel() == 0 then
    return t
  end
  local rows, columns = shape[1], t:numel() / shape[1]
  return fill_with(t, function()
    local short, long = math.min(rows, columns), math.max(rows, columns)
    local drawn = create.new("orthogonal_", { short, long }, "float64", "cpu")
    op.run("normal", "normal_", true, drawn, 0, 1)
    local q = create.tensor(orthonormalise(drawn:totable()), { dtype = "float64" })
    if rows > columns then
      q = q:transpose(1, 2)
    end
    return (q * o.gain):reshape(shape)
  end)
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
