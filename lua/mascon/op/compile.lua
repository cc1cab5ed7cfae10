--- Functions made from the rows: the fast way to run an operation.

local general = require "mascon.op.general"
local layer = require "mascon.ffi"
local marshal = require "mascon.op.marshal"
local rows = require "mascon.op.rows"

local call, is_tensor = layer.call, layer.is_tensor
local state, invoke, take, settle = layer.state, layer.invoke, layer.take, layer.settle

local M = {}

-- One function per op, made from its row: tensors, then up to four numbers for its first options, with
-- no table made and nothing looked up. Whatever else is passed (option tables, strings, lists) goes
-- through the general path above. The chunk is named after the op, so that tracebacks read well.
local template = [[
local row, call, attr, is_tensor, state, invoke, take, settle, general, outputs, name = ...
return function($params, p1, p2, p3, p4, ...)
  if select("#", ...) == 0 and $tests then
    local set = $base_set
    $numbers
    $fills
    call.op = $id
    call.n_src = $n_inputs
    call.flags = state.flags
    call.attr_set = set
    call.n_list = 0
    call.list = nil
    call.generator = $generator
    $run
  end
  return general(row, name, $in_place, select("#", ...) + $n_params, $params, p1, p2, p3, p4, ...)
end
]]

local to_general = "return general(row, name, $in_place, $n_params, $params, p1, p2, p3, p4)"

--- Code that stores number v as the next value of an option, with the bits it sets; nil where the
--- option takes no number.
local function store(attr, v)
  local slot = attr.slot
  local one_based = ([[if %s > 0 then attr[%d] = %s - 1 elseif %s < 0 then attr[%d] = %s else %s end]])
    :format(v, slot, v, v, slot, v, to_general)
  if attr.type == "number" or attr.type == "integer" then
    return ("attr[%d] = %s"):format(slot, v), 2 ^ slot
  elseif attr.type == "dim" or attr.type == "index" then
    return one_based, 2 ^ slot
  elseif attr.type == "pair" then
    return ("attr[%d] = %s attr[%d] = %s"):format(slot, v, slot + 1, v), 2 ^ slot * 3
  end
end

--- Code for numbers p1..p4 as the values of a list option (sizes, dims).
local function store_list(attr)
  local lines, slot = {}, attr.slot
  for i = 1, 4 do
    local v = "p" .. i
    local element = ("attr[%d] = %s"):format(slot + i, v)
    if attr.type == "dims" then
      element = ("if %s > 0 then attr[%d] = %s - 1 elseif %s < 0 then attr[%d] = %s else %s end"):format(
        v, slot + i, v, v, slot + i, v, to_general)
    end
    lines[#lines + 1] = ("if %s ~= nil then if type(%s) ~= 'number' then %s end %s set = set + %d attr[%d] = %d")
      :format(v, v, to_general, element, i == 1 and 2 ^ slot * 3 or 2 ^ (slot + i), slot, i)
  end
  return table.concat(lines, "\n    ") .. (" end"):rep(4)
end

--- Code for numbers p1..p4 as the values of the first options.
local function store_numbers(row)
  local first = row.attrs[1]
  if first and (first.type == "sizes" or first.type == "dims") then
    return store_list(first)
  end
  local lines, depth = {}, 0
  for i = 1, 4 do
    local v, attr = "p" .. i, row.attrs[i]
    local code, bits
    if attr then
      code, bits = store(attr, v)
    end
    if not code then
      lines[#lines + 1] = ("if %s ~= nil then %s end"):format(v, to_general)
      break
    end
    lines[#lines + 1] = ("if %s ~= nil then if type(%s) ~= 'number' then %s end %s set = set + %d")
      :format(v, v, to_general, code, bits)
    depth = depth + 1
  end
  return table.concat(lines, "\n    ") .. (" end"):rep(depth)
end

--- Code that puts the tensors of a row into the record, with the test that they are tensors.
local function tensor_code(row)
  local params, tests, fills = {}, {}, {}
  for i, input in ipairs(row.inputs) do
    params[i] = "a" .. i
    tests[i] = input.optional and ("(a%d == nil or is_tensor(a%d))"):format(i, i)
      or ("is_tensor(a%d)"):format(i)
    fills[i] = input.optional and ("call.src[%d] = a%d ~= nil and a%d.h or nil"):format(i - 1, i, i)
      or ("call.src[%d] = a%d.h"):format(i - 1, i)
  end
  return params, tests, fills
end

local function base_code(row)
  local set, lines = 0, {}
  for _, attr in ipairs(row.attrs) do
    if attr.type == "base" then
      set = set + 2 ^ attr.slot
      lines[#lines + 1] = ("attr[%d] = 1"):format(attr.slot)
    end
  end
  return set, lines
end

--- A two-input op with a number in the place of one tensor: option `other` (and `swap`).
local number_template = [[
local row, call, attr, is_tensor, state, invoke, take, settle, general, outputs, name, both = ...
return function(a1, a2, p1, ...)
  if p1 == nil and select("#", ...) == 0 then
    local t, set = a1, $other_bit
    if is_tensor(a2) then
      if is_tensor(a1) then
        return both(a1, a2)
      elseif type(a1) ~= "number" or $in_place then
        return general(row, name, $in_place, 2, a1, a2)
      end
      t, set = a2, $other_bit + $swap_bit
      attr[$other], attr[$swap] = a1, 1
    elseif type(a2) == "number" and is_tensor(a1) then
      attr[$other] = a2
    else
      return general(row, name, $in_place, 2, a1, a2)
    end
    call.src[0] = t.h
    call.op = $id
    call.n_src = 1
    call.flags = state.flags
    call.attr_set = set
    call.n_list = 0
    call.list = nil
    call.generator = nil
    $run
  end
  return general(row, name, $in_place, select("#", ...) + 3, a1, a2, p1, ...)
end
]]

local function substitute(source, values)
  -- twice, because code that is filled in has names to fill in itself
  for _ = 1, 2 do
    source = source:gsub("%$([%a_]+)", values)
  end
  return source
end

local function compile(row, source, name, ...)
  return assert(loadstring(source, "=mascon." .. row.name))(row, call, call.attr, is_tensor, state, invoke,
    take, settle, general.general, general.outputs, name, ...)
end

--- Makes the function of a row; in_place: its form that writes into its first argument.
function M.make(row, in_place)
  local name = in_place and row.name .. "_" or row.name
  local params, tests, fills = tensor_code(row)
  local base_set, base_lines = base_code(row)
  for _, line in ipairs(base_lines) do
    fills[#fills + 1] = line
  end
  local run = "do invoke() return outputs(row) end"
  if in_place then
    run = "do call.dst[0] = a1.h invoke(name) call.dst[0] = nil settle() return a1 end"
  elseif #row.outputs == 1 then
    run = "do invoke() local y = take(0) settle() return y end"
  end
  if row.by_name.other then
    tests[#tests + 1] = "a2 ~= nil"
  end
  local other, swap = row.by_name.other, row.by_name.swap
  local values = {
    params = table.concat(params, ", "), tests = table.concat(tests, " and "), id = row.id,
    base_set = base_set, numbers = store_numbers(row), fills = table.concat(fills, "\n    "),
    n_inputs = #row.inputs, n_params = #row.inputs + 4, run = run, in_place = tostring(in_place),
    generator = rows.has(row, rows.RANDOM) and "state.generator.h" or "nil",
    other = other and other.slot, other_bit = other and 2 ^ other.slot,
    swap = swap and swap.slot or 0, swap_bit = swap and 2 ^ swap.slot or 0,
  }
  local f = compile(row, substitute(template, values), name)
  if other and #row.inputs == 2 and swap then
    f = compile(row, substitute(number_template, values), name, f)
  end
  return f
end

--- A function that calls an op with fixed options: options are checked once, here.
---@param name string op
---@param given table options by name
---@param soft? boolean the function returns nil where the op fails, in place of an error
---@return fun(...): any takes the op's tensors
function M.prepare(name, given, soft)
  local row = rows.row(name)
  call.attr_set = 0
  marshal.put_named(row, name, given)
  marshal.set_base(row)
  local set, count = call.attr_set, 0
  local slots, values = {}, {}
  for slot = 0, 23 do
    if bit.band(set, bit.lshift(1, slot)) ~= 0 then
      count = count + 1
      slots[count], values[count] = slot, call.attr[slot]
    end
  end
  local params, tests, fills = tensor_code(row)
  for i = 1, count do
    fills[#fills + 1] = ("call.attr[%d] = %.17g"):format(slots[i], values[i])
  end
  if rows.has(row, rows.RANDOM) then
    fills[#fills + 1] = "call.generator = state.generator.h"
  end
  local source = ([[
local row, call, is_tensor, state, invoke, take, settle, wrong, outputs, attempt = ...
return function(%s)
  if not (%s) then
    %s
  end
  call.op = %d
  call.n_src = %d
  call.flags = state.flags
  call.attr_set = %d
  call.n_list = 0
  call.list = nil
  call.generator = nil
  %s
  %s
  %s
end]]):format(table.concat(params, ", "), table.concat(tests, " and "),
    soft and "do return nil end" or "wrong(" .. table.concat(params, ", ") .. ")",
    row.id, #row.inputs, set, table.concat(fills, "\n  "),
    soft and "if not attempt() then return nil end" or "invoke()",
    #row.outputs == 1 and "local y = take(0) settle() return y" or "return outputs(row)")
  local function wrong(...)
    for i = 1, #row.inputs do
      local v = select(i, ...)
      if not is_tensor(v) and not (row.inputs[i].optional and v == nil) then
        general.not_a_tensor(row, name, i, v)
      end
    end
  end
  return assert(loadstring(source, "=mascon." .. name))(row, call, is_tensor, state, invoke, take,
    settle, wrong, general.outputs, layer.attempt)
end

return M
