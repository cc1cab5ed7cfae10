--- Modes, backward, scopes and differentiable functions written in Lua.

local layer = require "mascon.ffi"
local create = require "mascon.create"
local guard = require "mascon.guard"
local options = require "mascon.options"
local raise = require "mascon.raise"
local tensor = require "mascon.tensor"

local C, is_tensor, check, state = layer.C, layer.is_tensor, layer.check, layer.state
local M = {}

-- ORDER: the flags of mascon_call
local GRAD, INFERENCE, ANOMALY, AUTOCAST = 1, 2, 4, 8

-- Modes ---------------------------------------------------------------------------------------------

local function check_function(name, fn)
  if type(fn) ~= "function" then
    options.fail(name, ("argument 1 is %s; expected a function"):format(options.show(fn)))
  end
end

local function with_flags(name, set, clear)
  return function(fn, ...)
    check_function(name, fn)
    local before = state.flags
    state.flags = bit.band(bit.bor(before, set), bit.bnot(clear))
    return guard.finish(function() state.flags = before end, guard.call(name, fn, ...))
  end
end

--- Runs fn without recording; returns what it returns.
---@param fn function must not yield
M.no_grad = with_flags("no_grad", 0, GRAD)
--- Runs fn with recording, inside no_grad too.
M.enable_grad = with_flags("enable_grad", GRAD, INFERENCE)
--- Like no_grad; what is made inside can never take part in a graph.
M.inference_mode = with_flags("inference_mode", INFERENCE, GRAD)

local AUTOCAST_OPTIONS = { { "enabled", true, "boolean" } }

--- Runs fn with products and convolutions in bfloat16 and with what needs digits in float32; returns what
--- it returns. Weights stay as they are, and so do the types of their gradients.
---@param dtype string "bfloat16"
---@param given? table enabled: false switches it off for a part of an outer autocast
---@param fn function must not yield
function M.autocast(dtype, given, fn, ...)
  if type(given) == "function" then
    return M.autocast(dtype, {}, given, fn, ...)
  end
  if dtype == "float16" then
    options.fail("autocast", "float16 is not offered: its gradients vanish without a scaled loss",
      'mascon.autocast("bfloat16", fn)')
  elseif dtype ~= "bfloat16" then
    options.fail("autocast", ("dtype is %s; expected \"bfloat16\""):format(options.show(dtype)))
  end
  local read = options.read("autocast", given, AUTOCAST_OPTIONS)
  if type(fn) ~= "function" then
    options.fail("autocast", ("argument 2 is %s; expected a function"):format(options.show(fn)))
  end
  local before = state.flags
  state.flags = read.enabled and bit.bor(before, AUTOCAST) or bit.band(before, bit.bnot(AUTOCAST))
  return guard.finish(function() state.flags = before end, guard.call("autocast", fn, ...))
end

--- Whether autocast is on at this moment.
function M.is_autocast_enabled()
  return bit.band(state.flags, AUTOCAST) ~= 0
end

--- Whether operations are recorded at this moment.
function M.is_grad_enabled()
  return bit.band(state.flags, GRAD) ~= 0
end

--- Switches the search for gradients that are not finite on or off.
---@param on boolean
function M.detect_anomaly(on)
  options.check("detect_anomaly", { "on", nil, "boolean" }, on)
  state.flags = on and bit.bor(state.flags, ANOMALY) or bit.band(state.flags, bit.bnot(ANOMALY))
end

-- Scopes --------------------------------------------------------------------------------------------

local kept = setmetatable({}, { __mode = "k" })

--- Takes a tensor (or what a table holds) out of every scope; returns it.
function M.keep(v)
  local seen = {}
  local function walk(x)
    if is_tensor(x) then
      kept[x] = true
    elseif type(x) == "table" and not seen[x] then
      seen[x] = true
      for _, y in pairs(x) do
        walk(y)
      end
    end
  end
  walk(v)
  return v
end

--- Handles of the tensors reachable from the values returned by a scope.
local function reachable(...)
  local found, seen = {}, {}
  local function walk(v)
    if is_tensor(v) then
      found[tostring(layer.cast("void *", v.h))] = true
    elseif type(v) == "table" and not seen[v] then
      seen[v] = true
      for _, w in pairs(v) do
        walk(w)
      end
    end
  end
  for i = 1, select("#", ...) do
    walk((select(i, ...)))
  end
  return found
end

--- Runs fn and releases every tensor made inside but those it returns (also inside returned tables)
--- and those given to mascon.keep.
---@param fn function must not yield
function M.scope(fn, ...)
  check_function("scope", fn)
  local outer, list = state.scope, {}
  local line = raise.user_line() or "?"
  state.scope = list
  local results = { guard.call("scope", fn, ...) }
  local n = table.maxn(results)
  state.scope = outer
  local found = results[1] and reachable(unpack(results, 2, n)) or {}
  local why = ("at the end of scope (%s)"):format(line)
  for i = 1, #list do
    local t = list[i]
    if kept[t] or found[tostring(layer.cast("void *", t.h))] then
      if outer then
        outer[#outer + 1] = t
      end
    else
      layer.discard(t, why)
    end
  end
  return guard.finish(function() end, unpack(results, 1, n))
end

--- Runs fn so that what it makes belongs to no scope: parameters, optimizer state, caches.
function M.outside_scope(fn, ...)
  local outer = state.scope
  state.scope = nil
  return guard.finish(function() state.scope = outer end, pcall(fn, ...))
end

-- Backward ------------------------------------------------------------------------------------------

local what_box, id_box = layer.new "int32_t[1]", layer.new "uint64_t[1]"

--- Calls the backward of a Lua function and hands its gradients to the pass.
local function run_host(pass, id)
  local record = create.anchored(id)
  local grads = {}
  for i = 1, record.n_outputs do
    check(C.mascon_backward_host_grad(pass, i - 1, layer.tensor_box), "backward")
    local handle = layer.tensor_box[0]
    grads[i] = handle ~= nil and layer.wrap(handle) or create.zeros(record.shapes[i],
      { dtype = record.dtypes[i] })
  end
  local before = state.flags
  state.flags = bit.band(before, bit.bnot(GRAD))
  local results = { pcall(record.class.backward, record.context, unpack(grads, 1, record.n_outputs)) }
  state.flags = before
  if not results[1] then
    error(results[2], 0)
  end
  for i = 1, record.n_inputs do
    local g = results[i + 1]
    if g ~= nil then
      if not is_tensor(g) then
        options.fail(record.class.class_name, ("gradient %d is %s; expected a tensor or nil"):format(
          i, options.show(g)))
      end
      check(C.mascon_backward_host_give(pass, record.positions[i] - 1, g.h), "backward")
    end
  end
end

--- Steps of the optimizer that was made or stepped last: anomaly errors name the step. -1: none yet.
M.steps_taken = -1

--- Raises the error of a pass. A gradient that is not finite is named by the step it belongs to.
local function pass_failed()
  local found = layer.string(C.mascon_last_error().message):find("^gradient of .* values?%f[;%z]")
  layer.raise_last(found and M.steps_taken >= 0 and ("step %d"):format(M.steps_taken + 1) or nil)
end

local function run_pass(pass)
  while true do
    if C.mascon_backward_next(pass, what_box, id_box) ~= 0 then
      pass_failed()
    end
    if what_box[0] == C.MASCON_BACKWARD_DONE then
      return
    end
    run_host(pass, tonumber(id_box[0]))
  end
end

local pass_box = layer.new "mascon_backward *[1]"

--- Begins a pass, runs it, calls read(pass) for its results and ends it, also on error.
local function backward(root, gradient, inputs, n, flags, read)
  if bit.band(state.flags, ANOMALY) ~= 0 then
    flags = bit.bor(flags, C.MASCON_BACKWARD_ANOMALY)
  end
  check(C.mascon_backward_begin(pass_box, root.h, gradient and gradient.h or nil, inputs, n, flags),
    "backward")
  local pass = pass_box[0]
  local good, result = pcall(function()
    run_pass(pass)
    return read and read(pass)
  end)
  C.mascon_backward_end(pass)
  create.drain_anchors()
  if not good then
    error(result, 0)
  end
  return result
end

--- Adds the gradient of this scalar (or, with `gradient`, of any tensor) to the .grad of the leaves.
---@param gradient? mascon.Tensor
---@param given? table retain_graph
function tensor.methods.backward(t, gradient, given)
  if type(gradient) == "table" then
    gradient, given = nil, gradient
  end
  local read = options.read("backward", given, {
    { "gradient", gradient, "any" }, { "retain_graph", false, "boolean" },
  })
  if read.gradient ~= nil and not is_tensor(read.gradient) then
    options.fail("backward", ("gradient is %s; expected a tensor"):format(options.show(read.gradient)))
  end
  backward(t, read.gradient, nil, 0, read.retain_graph and C.MASCON_BACKWARD_RETAIN or 0)
end

--- The gradients of y with respect to the given tensors, without touching any .grad.
---@param y mascon.Tensor a scalar, unless options.gradient is given
---@param inputs mascon.Tensor[]
---@param given? table gradient, retain_graph
---@return mascon.Tensor ... one per input; nil where y does not depend on it
function M.grad(y, inputs, given)
  if not is_tensor(y) then
    options.fail("grad", ("argument 1 is %s; expected a tensor"):format(options.show(y)))
  end
  if is_tensor(inputs) then
    inputs = { inputs }
  end
  local read = options.read("grad", given, {
    { "gradient", nil, "any" }, { "retain_graph", false, "boolean" },
  })
  for i, x in ipairs(inputs) do
    if not is_tensor(x) or not x.requires_grad then
      options.fail("grad", ("input %d does not require a gradient"):format(i))
    end
  end
  local handles = layer.new("mascon_tensor *[?]", math.max(1, #inputs))
  for i, x in ipairs(inputs) do
    handles[i - 1] = x.h
  end
  local results = {}
  backward(y, read.gradient, handles, #inputs,
    read.retain_graph and C.MASCON_BACKWARD_RETAIN or 0, function(pass)
      for i = 1, #inputs do
        check(C.mascon_backward_result(pass, i - 1, layer.tensor_box), "grad")
        local handle = layer.tensor_box[0]
        results[i] = handle ~= nil and layer.wrap(handle) or nil
      end
    end)
  return unpack(results, 1, #inputs)
end

-- Functions in Lua ------------------------------------------------------------------------------------

local Function = {}
M.Function = Function

local context_methods = {}

--- Keeps tensors for backward; read them as ctx.saved.
function context_methods.save_for_backward(ctx, ...)
  ctx.saved = { ... }
end

local context_mt = { __index = context_methods }

local function apply(class, ...)
  local n = select("#", ...)
  local args = { ... }
  local context = setmetatable({}, context_mt)
  local inputs, positions, needs = {}, {}, false
  for i = 1, n do
    if is_tensor(args[i]) then
      inputs[#inputs + 1] = args[i]
      positions[i] = #inputs
      needs = needs or args[i].requires_grad
    end
  end
  local results = { M.no_grad(class.forward, context, unpack(args, 1, n)) }
  if not needs or not M.is_grad_enabled() then
    return unpack(results)
  end
  local record = {
    class = class, context = context, n_inputs = n, n_outputs = #results,
    positions = setmetatable(positions, { __index = function() return 1 end }),
    shapes = {}, dtypes = {},
  }
  for i, y in ipairs(results) do
    if not is_tensor(y) then
      options.fail(class.class_name, ("forward returned %s; expected tensors"):format(options.show(y)))
    end
    for _, x in ipairs(inputs) do
      if x.h == y.h then
        results[i] = y:detach()
      end
    end
    record.shapes[i], record.dtypes[i] = y.shape, y.dtype
  end
  local id = create.anchor(record)
  local outs = layer.new("mascon_tensor *[?]", math.max(1, #results))
  for i, y in ipairs(results) do
    outs[i - 1] = y.h
  end
  local handles, count = layer.handles(inputs)
  check(C.mascon_node_new(id, handles, count, outs, #results), class.class_name)
  return unpack(results)
end

--- Makes a class of differentiable functions: Square = mascon.Function:extend "Square", then
--- Square.forward(ctx, x), Square.backward(ctx, dy); Square(x) applies it.
---@param name string
function Function:extend(name)
  options.check("Function", { "name", nil, "string" }, name)
  local class = { class_name = name }
  return setmetatable(class, { __index = self, __call = apply })
end

return M
