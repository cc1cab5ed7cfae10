--- Lua functions for the operations of the C table.
-- One function per op is made at first use from the op's row: tensors first, then options by position
-- or by name in a trailing table. What Lua counts from 1 (dims, positions, index values inside tensors)
-- is converted here and nowhere else.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local raise = require "mascon.raise"

local C, call, is_tensor = layer.C, layer.call, layer.is_tensor
local state, invoke, take, settle = layer.state, layer.invoke, layer.take, layer.settle

local M = {}

-- The rows ------------------------------------------------------------------------------------------

-- ORDER: the flags of lib/core/op.h
local BACKWARD, LIST, RANDOM, IN_PLACE, HIDDEN = 2, 8, 16, 128, 1024

local width = { pair = 2, padding = 2, dims = 9, sizes = 9 }

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do
    list[#list + 1] = {
      name = word:match "[%w_]+",
      optional = word:find("?", 1, true) ~= nil,
      list = word:find("*", 1, true) ~= nil,
      hidden = word:sub(1, 1) == "(",
    }
  end
  return list
end

local function split(line)
  local fields = {}
  for field in (line .. "\t"):gmatch "([^\t]*)\t" do
    fields[#fields + 1] = field
  end
  return fields
end

local readers = {
  inputs = function(row, f) row.inputs = words(f[2]) end,
  outputs = function(row, f) row.outputs = words(f[2]) end,
  flags = function(row, f) row.flags = tonumber(f[2]) end,
  dtypes = function(row, f) row.dtypes = tonumber(f[2]) end,
  summary = function(row, f) row.summary = f[2] end,
  example = function(row, f) row.example = f[2] end,
  attr = function(row, f)
    local previous = row.attrs[#row.attrs]
    local attr = {
      name = f[2], type = f[3], min = tonumber(f[5]), max = tonumber(f[6]), help = f[8],
      required = f[4] == "-", standard = tonumber(f[4]),
      slot = previous and previous.slot + previous.width or 0,
      width = width[f[3]] or 1,
    }
    if f[7] ~= "" then
      attr.choices = {}
      for choice in f[7]:gmatch "%S+" do
        attr.choices[#attr.choices + 1] = choice
      end
    end
    row.attrs[#row.attrs + 1] = attr
  end,
}

local function read_row(id)
  local row = { id = id, attrs = {}, name = layer.string(C.mascon_op_name(id)) }
  for line in layer.string(C.mascon_op_describe(id)):gmatch "[^\n]+" do
    local fields = split(line)
    local reader = readers[fields[1]]
    if reader then
      reader(row, fields)
    end
  end
  row.by_name = {}
  for _, attr in ipairs(row.attrs) do
    row.by_name[attr.name] = attr
  end
  return row
end

local rows = {}

--- The row of an op of the table, or nil.
---@param name string
---@return table?
function M.row(name)
  local row = rows[name]
  if row == nil then
    local id = C.mascon_op_find(name)
    row = id >= 0 and read_row(id)
    rows[name] = row
  end
  return row or nil
end

--- The rows of all ops in the table's order, with their support per backend (bit per dtype).
---@return table[]
function M.list()
  local list = {}
  for id = 0, C.mascon_op_count() - 1 do
    local row = M.row(layer.string(C.mascon_op_name(id)))
    for _, backend in ipairs { "reference", "cpu", "cuda" } do
      row[backend] = C.mascon_op_support(id, backend)
    end
    row.backward = row.flags % (2 * BACKWARD) >= BACKWARD
    list[#list + 1] = row
  end
  return list
end

local function has(row, flag)
  return row.flags % (2 * flag) >= flag
end

-- Options -------------------------------------------------------------------------------------------

local attrs_of_call = call.attr

--- Writes slot values and marks them as given.
local function put(slot, value)
  attrs_of_call[slot] = value
  call.attr_set = bit.bor(call.attr_set, bit.lshift(1, slot))
end

local function whole(name, attr, v)
  if type(v) ~= "number" then
    options.fail(name, ("%s is %s; expected a number"):format(attr.name, options.show(v)))
  end
  return v
end

local function from_one(name, attr, v)
  whole(name, attr, v)
  if v > 0 then
    return v - 1
  elseif v == 0 then
    if attr.type == "index" then
      options.fail(name, "0 is not an index; the first element is 1")
    end
    options.fail(name, "0 is not a dimension; the first dimension is 1")
  end
  return v
end

local function pair(name, attr, v)
  if type(v) == "table" then
    if #v ~= 2 and #v ~= 1 then
      options.fail(name, ("%s has %d values; expected a number or {vertical, horizontal}")
        :format(attr.name, #v))
    end
    put(attr.slot, whole(name, attr, v[1]))
    put(attr.slot + 1, whole(name, attr, v[2] or v[1]))
  else
    put(attr.slot, whole(name, attr, v))
    put(attr.slot + 1, v)
  end
end

local function put_list(name, attr, v, convert)
  if type(v) == "number" then
    v = { v }
  elseif type(v) ~= "table" then
    options.fail(name, ("%s is %s; expected numbers"):format(attr.name, options.show(v)))
  end
  if #v > 8 then
    options.fail(name, ("%s has %d values; at most 8 are supported"):format(attr.name, #v))
  end
  put(attr.slot, #v)
  for i = 1, #v do
    put(attr.slot + i, convert(name, attr, v[i]))
  end
end

local writers = {
  number = function(name, attr, v) put(attr.slot, whole(name, attr, v)) end,
  integer = function(name, attr, v) put(attr.slot, whole(name, attr, v)) end,
  boolean = function(name, attr, v)
    if type(v) ~= "boolean" then
      options.fail(name, ("%s is %s; expected true or false"):format(attr.name, options.show(v)))
    end
    put(attr.slot, v and 1 or 0)
  end,
  pair = pair,
  padding = function(name, attr, v)
    if v == "same" then
      put(attr.slot, -1)
      put(attr.slot + 1, -1)
    elseif v == "valid" then
      put(attr.slot, 0)
      put(attr.slot + 1, 0)
    elseif type(v) == "string" then
      options.fail(name, ('%s is "%s"; expected a number, {vertical, horizontal}, "same" or "valid"')
        :format(attr.name, v))
    else
      pair(name, attr, v)
      if attrs_of_call[attr.slot] < 0 or attrs_of_call[attr.slot + 1] < 0 then
        options.fail(name, ("%s is %g; must be 0 or more"):format(attr.name,
          math.min(attrs_of_call[attr.slot], attrs_of_call[attr.slot + 1])))
      end
    end
  end,
  dim = function(name, attr, v) put(attr.slot, from_one(name, attr, v)) end,
  index = function(name, attr, v) put(attr.slot, from_one(name, attr, v)) end,
  base = function(name, attr, v) put(attr.slot, whole(name, attr, v)) end,
  dims = function(name, attr, v) put_list(name, attr, v, from_one) end,
  sizes = function(name, attr, v) put_list(name, attr, v, whole) end,
  choice = function(name, attr, v)
    for i, choice in ipairs(attr.choices) do
      if choice == v then
        return put(attr.slot, i - 1)
      end
    end
    options.fail(name, ("%s is %s; expected one of %s"):format(attr.name, options.show(v),
      table.concat(attr.choices, ", ")))
  end,
  dtype = function(name, attr, v)
    put(attr.slot, M.dtype(name, v))
  end,
  device = function(name, attr, v)
    put(attr.slot, M.device(name, v))
  end,
}

local dtype_names = "float64 float32 bfloat16 float16 int64 int32 uint8 bool"

--- The number of a dtype name (D10).
---@param prefix string
---@param v any
function M.dtype(prefix, v)
  local id = type(v) == "string" and C.mascon_dtype_find(v) or -1
  if id < 0 then
    options.fail(prefix, ("unknown dtype %s"):format(options.show(v)), dtype_names)
  end
  return id
end

--- The number of a device name ("cpu", "cuda", "cuda:1"); checks that it exists (D11, D12).
---@param prefix string
---@param v any
function M.device(prefix, v)
  if v == "cpu" then
    return 0
  end
  local index = type(v) == "string" and (v == "cuda" and "0" or v:match "^cuda:(%d+)$")
  if not index then
    options.fail(prefix, ("unknown device %s"):format(options.show(v)), "cpu, cuda, cuda:1 ...")
  end
  local why = layer.new "const char *[1]"
  local count = C.mascon_device_count(C.MASCON_DEVICE_CUDA, why)
  if count == 0 then
    options.fail(prefix, "this build has no CUDA backend", layer.string(why[0]))
  elseif tonumber(index) >= count then
    local list = count == 1 and "cuda:0" or "cuda:0..cuda:" .. count - 1
    options.fail(prefix, ("device cuda:%s does not exist; this machine has %s"):format(index, list))
  end
  return C.MASCON_DEVICE_CUDA + tonumber(index)
end

local function option_names(row)
  local names = {}
  for _, attr in ipairs(row.attrs) do
    if attr.type ~= "base" then
      names[#names + 1] = attr.name
    end
  end
  return names
end

local function put_named(row, name, given)
  for key, v in pairs(given) do
    if type(key) == "string" then
      local attr = row.by_name[key]
      if not attr then
        options.unknown(name, key, option_names(row))
      end
      writers[attr.type](name, attr, v)
    end
  end
end

local function set_base(row)
  for _, attr in ipairs(row.attrs) do
    if attr.type == "base" then
      put(attr.slot, 1)
    end
  end
end

local function takes_list(attr)
  return attr and (attr.type == "dims" or attr.type == "sizes")
end

--- Options by position: each value fills the next option; a list option takes a table or all the
--- numbers that follow; the array part of a table is such a value, its string keys are options.
local function put_positional(row, name, args, first, n)
  local index = 1
  local function next_attr(v)
    local attr = row.attrs[index]
    if not attr or attr.type == "base" then
      options.fail(name, ("too many arguments: %s"):format(options.show(v)))
    end
    index = index + 1
    return attr
  end
  local i = first
  while i <= n do
    local v = args[i]
    if type(v) == "table" then
      local is_empty = next(v) == nil
      if v[1] ~= nil or (is_empty and takes_list(row.attrs[index])) then
        local attr = next_attr(v)
        writers[attr.type](name, attr, v)
      end
      put_named(row, name, v)
    elseif v == nil then
      index = index + 1
    else
      local attr = next_attr(v)
      if takes_list(attr) then
        local numbers = {}
        while type(args[i]) == "number" and i <= n do
          numbers[#numbers + 1] = args[i]
          i = i + 1
        end
        if #numbers == 0 then
          options.fail(name, ("%s is %s; expected numbers"):format(attr.name, options.show(v)))
        end
        writers[attr.type](name, attr, numbers)
        i = i - 1
      else
        writers[attr.type](name, attr, v)
      end
    end
    i = i + 1
  end
end

-- Running -------------------------------------------------------------------------------------------

local function begin(row)
  call.op = row.id
  call.n_src = #row.inputs
  call.flags = state.flags
  call.attr_set = 0
  call.n_list = 0
  call.list = nil
  call.generator = nil
  if has(row, RANDOM) then
    call.generator = state.generator.h
  end
end

--- Takes the outputs of the finished call: those that Lua returns, as values.
local function outputs(row)
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
local function not_a_tensor(row, name, i, v)
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
      not_a_tensor(row, name, i, v)
    end
  end
  return at
end

--- A number in the place of a tensor of a two-input op: option `other`, and `swap` where it is first.
local function put_number(row, name, args)
  local other, swap = row.by_name.other, row.by_name.swap
  if not other then
    return
  end
  if type(args[1]) == "number" and is_tensor(args[2]) then
    if swap then
      put(swap.slot, 1)
    else
      options.fail(name, "a number cannot stand first")
    end
    args[1], args[2] = args[2], args[1]
  end
  if is_tensor(args[1]) and type(args[2]) == "number" then
    put(other.slot, args[2])
    return true
  end
end

local function general(row, name, in_place, n, ...)
  local args = { ... }
  begin(row)
  local first
  if put_number(row, name, args) then
    call.src[0] = args[1].h
    call.n_src = 1
    first = 3
  else
    first = put_tensors(row, name, args, n)
    local last = args[n]
    if row.by_name.other and not is_tensor(args[2])
      and not (type(last) == "table" and last.other ~= nil) then
      not_a_tensor(row, name, 2, args[2])
    end
  end
  put_positional(row, name, args, first, n)
  set_base(row)
  if in_place then
    call.dst[0] = args[1].h
    invoke(name)
    call.dst[0] = nil
    settle()
    return args[1]
  end
  invoke(name)
  return outputs(row)
end

--- Calls of a list op: the tensors stand in the array part of the first table.
local function list_call(row, name, tensors, ...)
  local given = type(tensors) == "table" and tensors or {}
  for i, t in ipairs(given) do
    if not is_tensor(t) then
      options.fail(name, ("element %d of the list is %s; expected a tensor"):format(i,
        options.show(t)))
    end
  end
  if type(tensors) ~= "table" or #given == 0 then
    options.fail(name, "argument 1 is missing: expected a list of tensors, such as {a, b}")
  end
  begin(row)
  call.n_src = 0
  put_named(row, name, given)
  put_positional(row, name, { ... }, 1, select("#", ...))
  set_base(row)
  local handles, n = layer.handles(given)
  call.list, call.n_list = handles, n
  invoke(name)
  call.list, call.n_list = nil, 0
  return outputs(row)
end

-- Generated functions ---------------------------------------------------------------------------------

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
    take, settle, general, outputs, name, ...)
end

--- Makes the function of a row; in_place: its form that writes into its first argument.
local function make(row, in_place)
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
    generator = has(row, RANDOM) and "state.generator.h" or "nil",
    other = other and other.slot, other_bit = other and 2 ^ other.slot,
    swap = swap and swap.slot or 0, swap_bit = swap and 2 ^ swap.slot or 0,
  }
  local f = compile(row, substitute(template, values), name)
  if other and #row.inputs == 2 and swap then
    f = compile(row, substitute(number_template, values), name, f)
  end
  return f
end

local docs = setmetatable({}, { __mode = "k" })
M.docs = docs

local functions = {}

--- The function of an op, or of its in-place form (name_); nil where there is none.
---@param name string
---@return function?
function M.find(name)
  local f = functions[name]
  if f ~= nil then
    return f or nil
  end
  local base = name:match "^(.-)_?$"
  local row = M.row(base)
  if not row or has(row, BACKWARD) or has(row, HIDDEN) or (base ~= name and not has(row, IN_PLACE)) then
    functions[name] = false
    return nil
  end
  if has(row, LIST) then
    f = function(tensors, ...)
      return list_call(row, row.name, tensors, ...)
    end
  elseif #row.inputs == 0 then
    f = function(...)
      return general(row, row.name, false, select("#", ...), ...)
    end
  else
    f = make(row, base ~= name)
  end
  functions[name] = f
  docs[f] = row
  return f
end

--- Runs an op by name whatever its flags: for the library's own use.
---@param name string op
---@param prefix string prefix of its errors
---@param in_place boolean
---@param ... any arguments as for the op's function
function M.run(name, prefix, in_place, ...)
  return general(M.row(name), prefix, in_place, select("#", ...), ...)
end

--- A function that calls an op with fixed options: options are checked once, here.
---@param name string op
---@param given table options by name
---@return fun(...): any takes the op's tensors
function M.prepare(name, given)
  local row = M.row(name)
  call.attr_set = 0
  put_named(row, name, given)
  set_base(row)
  local set, count = call.attr_set, 0
  local slots, values = {}, {}
  for slot = 0, 23 do
    if bit.band(set, bit.lshift(1, slot)) ~= 0 then
      count = count + 1
      slots[count], values[count] = slot, attrs_of_call[slot]
    end
  end
  local params, tests, fills = tensor_code(row)
  for i = 1, count do
    fills[#fills + 1] = ("call.attr[%d] = %.17g"):format(slots[i], values[i])
  end
  if has(row, RANDOM) then
    fills[#fills + 1] = "call.generator = state.generator.h"
  end
  local source = ([[
local row, call, is_tensor, state, invoke, take, settle, wrong, outputs = ...
return function(%s)
  if not (%s) then
    wrong(%s)
  end
  call.op = %d
  call.n_src = %d
  call.flags = state.flags
  call.attr_set = %d
  call.n_list = 0
  call.list = nil
  call.generator = nil
  %s
  invoke()
  %s
end]]):format(table.concat(params, ", "), table.concat(tests, " and "), table.concat(params, ", "),
    row.id, #row.inputs, set, table.concat(fills, "\n  "),
    #row.outputs == 1 and "local y = take(0) settle() return y" or "return outputs(row)")
  local function wrong(...)
    for i = 1, #row.inputs do
      local v = select(i, ...)
      if not is_tensor(v) and not (row.inputs[i].optional and v == nil) then
        not_a_tensor(row, name, i, v)
      end
    end
  end
  return assert(loadstring(source, "=mascon." .. name))(row, call, is_tensor, state, invoke, take,
    settle, wrong, outputs)
end

--- Runs an optimizer op over groups of tensors in one flat list.
---@param name string
---@param tensors table list: params, then gradients, and so on
---@param given table options by name
function M.run_list(name, tensors, given)
  local row = M.row(name)
  begin(row)
  call.n_src = 0
  call.flags = 0
  put_named(row, name, given)
  local handles, n = layer.handles(tensors)
  call.list, call.n_list = handles, n
  invoke(name)
  call.list, call.n_list = nil, 0
  settle()
end

M.raise = raise
return M
