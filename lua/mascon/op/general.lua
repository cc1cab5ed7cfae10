--- The general way to run an operation: any mix of tensors, positions and option tables.

local layer = require "mascon.ffi"
local marshal = require "mascon.op.marshal"
local options = require "mascon.options"
local rows = require "mascon.op.rows"

local C, call, is_tensor = layer.C, layer.call, layer.is_tensor
local state, invoke, take, settle = layer.state, layer.invoke, layer.take, layer.settle

local M = {}

function M.begin(row)
  call.op = row.id
  call.n_src = #row.inputs
  call.flags = state.flags
  call.attr_set = 0
  call.n_list = 0
  call.list = nil
  call.generator = nil
  if rows.has(row, rows.RANDOM) then
    call.generator = state.generator.h
  end
end

--- Takes the outputs of the finished call: those that Lua returns, as values.
function M.outputs(row)
  local n = call.n_dst
  for i = 0, n - 1 do
    if row.outputs[i + 1].hidden then
      C.mascon_tensor_release(call.dst[i])
      call.dst[i] = nil
    end
  end
  if n == 1 or (n > 1 and row.outputs[2].hidden) then
    local y = take(0)
    settle()
    return y
  elseif n == 2 then
    local y, z = take(0), take(1)
    settle()
    return y, z
  end
  settle()
end

--- "argument 1 is a number; expected a tensor" and so on (D45).
function M.not_a_tensor(row, name, i, v)
  local hint = 'called with "." instead of ":"?'
  if v == nil then
    options.fail(name, ("argument %d (%s) is missing"):format(i, row.inputs[i].name), hint)
  elseif i == 1 then
    options.fail(name, ("argument 1 is missing: %s is not a tensor"):format(options.show(v)), hint)
  end
  options.fail(name, ("argument %d (%s) is %s; expected a tensor"):format(i, row.inputs[i].name,
    options.show(v)))
end

--- Puts tensor arguments into the record; returns the position of the first option.
local function put_tensors(row, name, args, n)
  local at = 1
  for i, input in ipairs(row.inputs) do
    local v = args[at]
    if is_tensor(v) then
      call.src[i - 1] = v.h
      at = at + 1
    elseif input.optional then
      call.src[i - 1] = nil
      if v == nil and at <= n then
        at = at + 1 -- an explicit nil holds the place
      end
    else
      M.not_a_tensor(row, name, i, v)
    end
  end
  return at
end

--- An option that must be given may stand before the optional tensors, as in layer_norm(x, {sizes},
--- weight, bias), and a dimension right after x, as in gather(x, dim, index): moves it behind them.
local function behind_tensors(row, args, n)
  local option = row.attrs[1]
  local at = row.required + 1
  if option and option.type == "dim" and is_tensor(args[3]) then
    at = 2
    while at < row.required + 1 and is_tensor(args[at]) do
      at = at + 1
    end
  end
  local v = args[at]
  if v == nil or is_tensor(v) or not option or not option.required then
    return args
  end
  while at < n and at <= #row.inputs and (args[at + 1] == nil or is_tensor(args[at + 1])) do
    args[at] = args[at + 1]
    at = at + 1
  end
  args[at] = v
  return args
end

--- A number in the place of a tensor of a two-input op: option `other`, and `swap` where it is first.
local function put_number(row, name, args)
  local other, swap = row.by_name.other, row.by_name.swap
  if not other then
    return
  end
  if type(args[1]) == "number" and is_tensor(args[2]) then
    if swap then
      marshal.put(swap.slot, 1)
    else
      options.fail(name, "a number cannot stand first")
    end
    args[1], args[2] = args[2], args[1]
  end
  if is_tensor(args[1]) and type(args[2]) == "number" then
    marshal.put(other.slot, args[2])
    return true
  end
end

function M.general(row, name, in_place, n, ...)
  local args = { ... }
  M.begin(row)
  local first
  if put_number(row, name, args) then
    call.src[0] = args[1].h
    call.n_src = 1
    first = 3
  else
    first = put_tensors(row, name, behind_tensors(row, args, n), n)
    local last = args[n]
    if row.by_name.other and not is_tensor(args[2])
      and not (type(last) == "table" and last.other ~= nil) then
      M.not_a_tensor(row, name, 2, args[2])
    end
  end
  marshal.put_positional(row, name, args, first, n)
  marshal.set_base(row)
  if in_place then
    call.dst[0] = args[1].h
    invoke(name)
    call.dst[0] = nil
    settle()
    return args[1]
  end
  invoke(name)
  return M.outputs(row)
end

--- Calls of a list op: the tensors stand in the array part of the first table.
function M.list_call(row, name, tensors, ...)
  local given = type(tensors) == "table" and tensors or {}
  for i = 1, #given do -- a nil in between, too
    local t = given[i]
    if not is_tensor(t) then
      options.fail(name, ("element %d of the list is %s; expected a tensor"):format(i,
        options.show(t)))
    end
  end
  if type(tensors) ~= "table" or #given == 0 then
    options.fail(name, "argument 1 is missing: expected a list of tensors, such as {a, b}")
  end
  M.begin(row)
  call.n_src = 0
  marshal.put_named(row, name, given)
  marshal.put_positional(row, name, { ... }, 1, select("#", ...))
  marshal.set_base(row)
  local handles, n = layer.handles(given)
  call.list, call.n_list = handles, n
  invoke(name)
  call.list, call.n_list = nil, 0
  return M.outputs(row)
end

return M
