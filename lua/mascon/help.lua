--- mascon.help: the documentation of operations, classes and functions. Operations are described by the C
-- table, options by the constructors that read them, functions of Lua by the comment above them; only
-- summaries, shapes and examples of classes are written down (mascon.docs).

local docs = require "mascon.docs"
local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"
local output = require "mascon.output"
local rows = require "mascon.op.rows"

local C = layer.C
local M = {}

-- Names and values ------------------------------------------------------------------------------------------

--- The value at a path below mascon ("nn.Conv2d"), or nil.
local function value_at(path)
  local good, value = pcall(function()
    local v = require "mascon"
    for part in path:gmatch "[^.]+" do
      v = v[part]
    end
    return v
  end)
  return good and value or nil
end

local short_names = { F = "nn.functional", T = "transforms" }
local by_last -- "Conv2d" -> "nn.Conv2d"

--- The name in mascon.docs that is meant: "mascon.nn.Conv2d", "nn.Conv2d", "Conv2d", "T.Resize".
local function known_name(text)
  text = text:gsub("^mascon%.", ""):gsub("^(%a)%.", function(letter)
    return (short_names[letter] or letter) .. "."
  end)
  if docs.rows[text] then
    return text
  end
  if not by_last then
    by_last = {}
    for _, name in ipairs(docs.names) do
      by_last[name:match "[^.]+$"] = name
    end
  end
  return by_last[text]
end

--- The row of an op that the text names: "conv2d", "mascon.conv2d", "F.conv2d", "relu_".
local function op_row(text)
  local name = text:match "^[%w_]+$" or text:match "^mascon%.([%w_]+)$" or text:match "^F%.([%w_]+)$"
    or text:match "^nn%.functional%.([%w_]+)$" or text:match "^mascon%.nn%.functional%.([%w_]+)$"
  local row = name and (rows.row(name) or rows.row((name:gsub("_$", ""))))
  return row and not rows.has(row, rows.HIDDEN) and row or nil
end

--- The name in mascon.docs of a value. Nothing is loaded for it: who has the value has its part.
local function name_of(value)
  for _, name in ipairs(docs.names) do
    local v = package.loaded["mascon"]
    for part in name:gmatch "[^.]+" do
      v = type(v) == "table" and rawget(v, part) or nil
    end
    if v == value and v ~= nil then
      return name
    end
  end
end

local function is_class(v)
  return type(v) == "table" and rawget(v, "class_name") ~= nil
end

local own_folder = debug.getinfo(1, "S").source:match "^(.*)help%.lua$"

--- Whether mascon's own files define a function.
local function is_own(f)
  return debug.getinfo(f, "S").source:sub(1, #own_folder) == own_folder
end

-- Comments --------------------------------------------------------------------------------------------------

--- The lines of the comment above a Lua function, without their dashes.
local function comment_of(f)
  local info = debug.getinfo(f, "S")
  local file = info.source:sub(1, 1) == "@" and io.open(info.source:sub(2))
  if not file then
    return {}
  end
  local lines = {}
  for line in file:lines() do
    lines[#lines + 1] = line
    if #lines >= info.linedefined then
      break
    end
  end
  file:close()
  local found = {}
  for i = #lines - 1, 1, -1 do
    local text = lines[i]:match "^%s*%-%-%-?%s?(.*)$"
    if not text then
      break
    end
    table.insert(found, 1, text)
  end
  return found
end

-- Options ---------------------------------------------------------------------------------------------------

local function value_text(v)
  if type(v) == "table" then
    local parts = {}
    for i, item in ipairs(v) do
      parts[i] = value_text(item)
    end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  return options.show(v)
end

local function standard_of(attr)
  if attr.type == "boolean" then
    return tostring(attr.standard ~= 0)
  elseif attr.type == "choice" then
    return ('"%s"'):format(attr.choices[attr.standard + 1])
  elseif attr.type == "dim" or attr.type == "index" then
    return ("%g"):format(attr.standard >= 0 and attr.standard + 1 or attr.standard)
  elseif attr.type == "dtype" or attr.type == "device" then
    return nil
  end
  return ("%g"):format(attr.standard)
end

local function from_row(row)
  local list = {}
  for _, attr in ipairs(row.attrs) do
    if attr.type ~= "base" then
      list[#list + 1] = {
        name = attr.name, required = attr.required, kind = attr.type, choices = attr.choices, help = attr.help,
        standard = attr.standard and standard_of(attr) or nil,
      }
    end
  end
  return list
end

local function from_spec(spec, positional)
  local list = { positional = positional }
  for _, field in ipairs(spec) do
    local required = field[2] == options.required
    list[#list + 1] = {
      name = field[1], required = required, kind = field[3] ~= "any" and field[3] or nil,
      choices = field.choices, low = field.min, high = field.max,
      standard = not required and field[2] ~= nil and value_text(field[2]) or nil,
    }
  end
  return list
end

local IN_PARAM, IN_BRACES = "([%a_][%w_]*)%s*=%s*([^,;})]*)", "{.-([%a_][%w_]*) = ([^,}]*)"

--- Options that a comment names: "---@param given? table width = 72, height = 16".
local function from_comment(f)
  local list, inside = {}, false
  for _, line in ipairs(comment_of(f)) do
    if line:find "^@" then
      inside = line:find "^@param %w+%?? table" ~= nil
      line = line:gsub("^@param %w+%?? table", "")
    end
    for name, rest in line:gmatch(inside and IN_PARAM or IN_BRACES) do
      list[#list + 1] = { name = name, standard = rest:match "^%S+" }
    end
  end
  return list
end

local function optimizer()
  local mascon = require "mascon"
  return mascon.optim.SGD({ mascon.zeros({ 1 }, { requires_grad = true }) }, { lr = 1 })
end

local function read_options(value)
  local row = op.docs[value]
  if row then
    return from_row(row)
  end
  if is_class(value) then
    local init = value.init
    if type(init) ~= "function" or not is_own(init) then
      return type(init) == "function" and from_comment(init) or {}
    end
    local spec, positional = options.specification(value)
    return spec and from_spec(spec, positional) or {}
  elseif type(value) ~= "function" then
    return {}
  end
  local name = name_of(value)
  local before = name and docs.rows[name].before
  local spec, positional
  if before == "optimizer" then
    spec, positional = options.specification(value, optimizer(), {})
  elseif before and #before == 0 then
    spec, positional = options.specification(value)
  elseif before then
    local given = { unpack(before) }
    given[#given + 1] = {}
    spec, positional = options.specification(value, unpack(given))
  end
  return spec and from_spec(spec, positional) or from_comment(value)
end

local known_options = setmetatable({}, { __mode = "k" })

--- The options of a function or class: a list of {name, required, standard, kind, choices, help}.
---@param value any
---@return table[]
function M.options_of(value)
  if type(value) ~= "function" and not is_class(value) then
    return {}
  end
  known_options[value] = known_options[value] or read_options(value)
  return known_options[value]
end

local function option_lines(list, lines)
  for _, o in ipairs(list) do
    local parts = {}
    if o.help and o.help ~= "" then
      parts[1] = o.help
    end
    if o.choices then
      parts[#parts + 1] = "one of " .. table.concat(o.choices, ", ")
    elseif o.kind and not o.help then
      parts[#parts + 1] = (o.kind:gsub("|", " or "):gsub("integer", "whole number"))
    end
    if o.low and o.high then
      parts[#parts + 1] = ("%g to %g"):format(o.low, o.high)
    elseif o.low and not o.help then
      parts[#parts + 1] = ("%g or more"):format(o.low)
    end
    parts[#parts + 1] = o.required and "must be given" or o.standard and "default " .. o.standard or "optional"
    lines[#lines + 1] = ("  %-18s %s"):format(o.name, table.concat(parts, "; "))
  end
end

-- Texts -----------------------------------------------------------------------------------------------------

--- "a, b, {c = 1, d}" of options: those that must be given stand by position.
local function arguments_text(list)
  local parts, named = {}, {}
  for _, o in ipairs(list) do
    if o.required and list.positional and #named == 0 then
      parts[#parts + 1] = o.name
    else
      named[#named + 1] = o.name .. (o.required and "" or o.standard and " = " .. o.standard or " =")
    end
  end
  if #named > 0 then
    parts[#parts + 1] = "{" .. table.concat(named, ", ") .. "}"
  end
  return table.concat(parts, ", ")
end

local function op_signature(row)
  local parts, outs = {}, {}
  for _, input in ipairs(row.inputs) do
    parts[#parts + 1] = input.list and "{" .. input.name .. ", ...}" or input.name
      .. (input.optional and "?" or "")
  end
  local named = {}
  for _, o in ipairs(from_row(row)) do
    named[#named + 1] = o.name .. (o.required and "" or o.standard and " = " .. o.standard or " =")
  end
  if #named > 0 then
    parts[#parts + 1] = "{" .. table.concat(named, ", ") .. "}"
  end
  for _, each in ipairs(row.outputs) do
    if not each.hidden then
      outs[#outs + 1] = each.name
    end
  end
  return ("mascon.%s(%s) -> %s"):format(row.name, table.concat(parts, ", "), table.concat(outs, ", "))
end

--- The text for an op's row.
---@param row table
---@return string
function M.text(row)
  local lines = { op_signature(row), "  " .. row.summary }
  option_lines(from_row(row), lines)
  if rows.has(row, rows.IN_PLACE) and not rows.has(row, rows.LIST) then
    lines[#lines + 1] = ("  also in place: x:%s_(...)"):format(row.name)
  end
  if row.example then
    lines[#lines + 1] = "  example: " .. row.example
  end
  return table.concat(lines, "\n")
end

--- The text for a class or function that mascon.docs names.
local function documented(name)
  local doc, value = docs.rows[name], value_at(name)
  local list = M.options_of(value)
  local full = name:find("[.]") and name or "mascon." .. name
  local before = {}
  if doc.takes and doc.takes ~= "" then
    before[1] = doc.takes
  end
  local arguments = arguments_text(list)
  if arguments ~= "" then
    before[#before + 1] = arguments
  end
  local lines = { full .. "(" .. table.concat(before, ", ") .. ")", "  " .. doc.summary }
  if doc.shapes then
    lines[#lines + 1] = "  shapes: " .. doc.shapes
  end
  option_lines(list, lines)
  if doc.example then
    lines[#lines + 1] = "  example: " .. doc.example
  end
  return table.concat(lines, "\n")
end

local function parameter_names(f)
  local info = debug.getinfo(f, "u")
  local names = {}
  for i = 1, info.nparams or 0 do
    names[i] = debug.getlocal(f, i)
  end
  if info.isvararg then
    names[#names + 1] = "..."
  end
  return table.concat(names, ", ")
end

--- The text for any other Lua function: its parameters and the comment above it.
local function commented(f, name)
  local lines = { ("%s(%s)"):format(name or "function", parameter_names(f)) }
  local info = debug.getinfo(f, "S")
  for _, line in ipairs(comment_of(f)) do
    lines[#lines + 1] = "  " .. line:gsub("^@param", "argument"):gsub("^@return", "gives")
  end
  if #lines == 1 and info.what == "C" then
    return nil
  elseif #lines == 1 then
    lines[2] = ("  defined at %s:%d"):format(info.short_src, info.linedefined)
  end
  return table.concat(lines, "\n")
end

local tensor_text = [[a tensor: x.shape, x.dtype, x.device, x.grad, x.requires_grad; x:item(), x:totable()
  subscripts count from 1: x[1], x[{1, 2}], x[{{1, 3}, 2}], x[mask]; -1 is the last
  every operation is a method: x:sum(), x:view{2, -1}, x:matmul(y); ?sum explains one]]

--- The documentation of a value, or nil.
---@param value any
---@param name? string as the user calls it
---@return string?
function M.describe(value, name)
  if layer.is_tensor(value) then
    return tensor_text
  elseif (type(value) == "function" or type(value) == "table") and name_of(value) then
    return documented(name_of(value))
  elseif type(value) == "function" then
    return op.docs[value] and M.text(op.docs[value]) or commented(value, name)
  elseif type(value) ~= "table" then
    return nil
  end
  local books = (getmetatable(value) or {}).books
  local class = books and books.class or is_class(value) and value or nil
  if class then
    local own = name_of(class)
    if own and own ~= "nn.Module" then
      return documented(own)
    end
    return type(class.init) == "function" and commented(class.init, class.class_name) or tostring(class)
  end
  return rawget(value, "doc")
end

-- Search ----------------------------------------------------------------------------------------------------

--- All documented names with their summaries.
local function entries()
  local list = {}
  for _, name in ipairs(docs.names) do
    list[#list + 1] = { name:find("[.]") and name or "mascon." .. name, docs.rows[name].summary }
  end
  for id = 0, C.mascon_op_count() - 1 do
    local row = rows.row(layer.string(C.mascon_op_name(id)))
    if not rows.has(row, rows.BACKWARD) and not rows.has(row, rows.HIDDEN) then
      list[#list + 1] = { "mascon." .. row.name, row.summary }
    end
  end
  return list
end

--- Lines for what has the text in its name, then in its summary; nil where nothing has.
---@param text string
---@return string?
function M.search(text)
  text = text:lower()
  local by_name, by_summary = {}, {}
  for _, entry in ipairs(entries()) do
    local line = ("  %-28s %s"):format(entry[1], entry[2])
    if entry[1]:gsub("^mascon%.", ""):lower():find(text, 1, true) then
      by_name[#by_name + 1] = line
    elseif entry[2]:lower():find(text, 1, true) then
      by_summary[#by_summary + 1] = line
    end
  end
  for _, line in ipairs(by_summary) do
    by_name[#by_name + 1] = line
  end
  if #by_name > 40 then
    by_name[41] = ("  ... %d more"):format(#by_name - 40)
  end
  return #by_name > 0 and table.concat(by_name, "\n", 1, math.min(#by_name, 41)) or nil
end

--- The value of a global path such as "model.conv" or "x:sum"; nothing of a script is called but __index.
local function global_value(text)
  local value = _G
  for part in text:gmatch "[%w_]+" do
    local good, v = pcall(function() return value[part] end)
    if not good or v == nil then
      return nil
    end
    value = v
  end
  return value
end

local overview = [[mascon: tensors, networks and training
  ?nn  ?optim  ?data  ?datasets  ?transforms  ?plot  ?metrics  list a part; ?tensor, ?save, ?sum explain a function
  a word that is no name is searched for: ?pool]]

--- The documentation of a name, or what a search for the text finds.
---@param text string
---@return string
function M.find(text)
  text = text:gsub("^mascon%.(%a+%.)", "%1"):gsub("[({].*$", "")
  if text == "mascon" then
    return overview
  end
  local name = known_name(text)
  if name then
    local row = op_row(text)
    return documented(name) .. (row and "\n\n" .. M.text(row) or "")
  end
  local row = op_row(text)
  if row then
    return M.text(row)
  end
  local value = text:find "^[%a_][%w_]*[%w_.:]*$" and global_value(text)
  local found = value ~= nil and M.describe(value, text) or M.search(text)
  if not found then
    local names = {}
    for _, entry in ipairs(entries()) do
      names[#names + 1] = entry[1]:match "[^.]+$"
    end
    local last = text:match "[^.:]*$"
    local nearest = #last > 2 and options.nearest(last, names)
    options.fail("help", ('nothing is known of "%s"'):format(text),
      nearest and ("did you mean %s?"):format(nearest))
  end
  return found
end

--- The documentation of an operation, a class, a function, a module, or of a name, as text that is also
--- printed.
---@param what any
---@return string
function M.help(what)
  local text
  if type(what) == "string" then
    text = M.find(what)
  else
    text = M.describe(what)
  end
  if not text then
    options.fail("help", ("no documentation for %s"):format(options.show(what)))
  end
  output.stdout:write(text, "\n")
  return text
end

return M
