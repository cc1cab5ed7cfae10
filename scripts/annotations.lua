--- Writes the file of LuaCATS annotations from which editors complete names: annotations.lua FILE.
-- The build calls this (CMakeLists.txt). Operations come from the op table, options from the constructors that
-- read them, the rest from the comments above the functions; classes that the sources annotate are not repeated.

local mascon = require "mascon"
local docs = require "mascon.docs"
local help = require "mascon.help"
local op = require "mascon.op"
local rows = require "mascon.op.rows"
local tensor = require "mascon.tensor"

local path = assert(..., "annotations.lua needs a file")
local out = {}

local function say(format, ...)
  out[#out + 1] = select("#", ...) > 0 and format:format(...) or format
end

-- Types -----------------------------------------------------------------------------------------------------

local attr_types = {
  pair = "integer|integer[]", padding = 'integer|integer[]|"same"|"valid"', dims = "integer|integer[]",
  sizes = "integer|integer[]", dim = "integer", index = "integer", integer = "integer", number = "number",
  boolean = "boolean", dtype = "mascon.dtype", device = "string",
}

local function choices_type(choices)
  local parts = {}
  for i, choice in ipairs(choices) do
    parts[i] = type(choice) == "string" and ('"%s"'):format(choice) or tostring(choice)
  end
  return table.concat(parts, "|")
end

local function attr_type(attr)
  return attr.choices and choices_type(attr.choices) or assert(attr_types[attr.type], attr.type)
end

--- The type of an option that a constructor reads.
local function option_type(o)
  if o.choices then
    return choices_type(o.choices)
  elseif o.name == "dtype" then
    return "mascon.dtype"
  end
  local kind = (o.kind or "any"):gsub("tensor", "mascon.Tensor")
  return kind
end

--- A class of options: name -> type.
local function say_options(name, list)
  say("---@class %s", name)
  for _, o in ipairs(list) do
    local about = o.help or o.standard and "default " .. o.standard or ""
    -- "?" for all: what must be given may stand before the table
    say("---@field %s? %s%s", o.name, o.of, about ~= "" and " # " .. about or "")
  end
  say ""
end

-- Operations ------------------------------------------------------------------------------------------------

local function op_options(row)
  local list = {}
  for _, attr in ipairs(row.attrs) do
    if attr.type ~= "base" then -- Lua counts from 1
      list[#list + 1] = { name = attr.name, help = attr.help, of = attr_type(attr), required = attr.required }
    end
  end
  return list
end

local function say_op_function(head, row, first, list, suffix)
  say("--- %s", row.summary)
  local names = {}
  for i = first, #row.inputs do
    local input = row.inputs[i]
    local of = input.list and "mascon.Tensor[]" or i > 1 and "mascon.Tensor|number" or "mascon.Tensor"
    say("---@param %s%s %s", input.name, input.optional and "?" or "", of)
    names[#names + 1] = input.name
  end
  if #list > 0 then
    local class = "mascon.options." .. row.name
    for _, o in ipairs(list) do -- sizes by position, then the others by name
      if o.required or o.name == "dim" then
        say("---@param %s%s %s|%s", o.name, #names < row.required and o.required and "" or "?", o.of, class)
        names[#names + 1] = o.name
      end
    end
    say("---@param options? %s", class)
    say "---@param ... any"
    names[#names + 1] = "options"
    names[#names + 1] = "..."
  end
  for _, output in ipairs(row.outputs) do
    if not output.hidden then
      say("---@return mascon.Tensor %s", output.name)
    end
  end
  say("function %s%s(%s) end", head, row.name .. (suffix or ""), table.concat(names, ", "))
  say ""
end

local function say_op(row)
  local list = op_options(row)
  if #list > 0 then
    say_options("mascon.options." .. row.name, list)
  end
  say_op_function("mascon.", row, 1, list)
  if #row.inputs > 0 and not rows.has(row, rows.LIST) and not tensor.methods[row.name] then
    say_op_function("Tensor:", row, 2, list)
    if rows.has(row, rows.IN_PLACE) then
      say_op_function("Tensor:", row, 2, list, "_")
    end
  end
end

-- Functions of Lua ------------------------------------------------------------------------------------------

local function lines_of(source)
  local lines = {}
  for line in io.lines(source) do
    lines[#lines + 1] = line
  end
  return lines
end

--- The comment above a function and the names of its arguments, from its source.
local function source_of(f)
  local info = debug.getinfo(f, "S")
  if info.what == "C" or info.source:sub(1, 1) ~= "@" then
    return {}, "..."
  end
  local lines = lines_of(info.source:sub(2))
  local comment = {}
  for i = info.linedefined - 1, 1, -1 do
    if not lines[i]:find "^%s*%-%-%-" then
      break
    end
    table.insert(comment, 1, (lines[i]:gsub("^%s+", "")))
  end
  return comment, lines[info.linedefined]:match "function[^(]*%(([^)]*)%)" or "..."
end

--- What functions give where their comment does not say it: by the head of the function, then by its name
--- or for all of that head.
local T = "mascon.Tensor"
local given = {
  ["optim."] = { all = "mascon.optim.Optimizer" }, ["lr_scheduler."] = { all = "mascon.optim.Scheduler" },
  ["init."] = { all = T, skip = "any", reset_layer = "nil" }, ["functional."] = { all = T },
  ["models."] = { all = "mascon.nn.Module", list = "string[]" },
  ["mascon."] = { bmm = T, outer = T, stack = T, where = T, allclose = "boolean", is_grad_enabled = "boolean",
    is_autocast_enabled = "boolean" },
  ["Tensor:"] = { allclose = "boolean", is_contiguous = "boolean", dim = "integer", numel = "integer",
    size = "integer|integer[]", item = "number|boolean", totable = "table", layout = "string" },
}
for name in ("bfloat16 bmm bool byte contiguous copy_ cpu cuda detach double float half int long outer "
  .. "requires_grad_ t to where zero_"):gmatch "%S+" do
  given["Tensor:"][name] = T
end

local function given_by(head, name)
  local list = given[head]
  return list and (list[name] or list.all)
end

local function returns(comment)
  for _, line in ipairs(comment) do
    if line:find "^%-%-%-%s?@return" then
      return true
    end
  end
  return false
end

--- Takes `self` off the arguments of a method.
local function without_self(arguments)
  return (arguments:gsub("^%s*[%w_]+%s*,?%s*", "", 1))
end

local function say_function(head, name, f, of)
  of = of or given_by(head, name)
  local comment, arguments = source_of(f)
  if head == "Tensor:" then
    local first = arguments:match "^[%w_]+"
    arguments = without_self(arguments)
    for i = #comment, 1, -1 do
      if first and comment[i]:find("^%-%-%-@param " .. first .. "[ ?]") then
        table.remove(comment, i)
      end
    end
  end
  for _, line in ipairs(comment) do
    say("%s", line)
  end
  if of and not returns(comment) then
    say("---@return %s", of)
  end
  say("function %s%s(%s) end", head, name, arguments)
  say ""
end

--- A constructor: arguments by position, then a table of options; or one table with everything.
local function say_constructor(head, full, name, value, of)
  of = of or given_by(head, name)
  local positional, list, by_name = {}, {}, {}
  for _, o in ipairs(help.options_of(value)) do
    o = { name = o.name, of = option_type(o), required = o.required, standard = o.standard }
    by_name[o.name] = o
    list[#list + 1] = o
  end
  local signature = help.find(full):match "^[%w_.]+%(([^\n]*)" or ""
  for word in (signature:match "^([^{)]*)" or ""):gmatch "[%w_]+" do
    positional[#positional + 1] = word
  end
  local class = "mascon." .. full .. ".options"
  if #list > 0 then
    say_options(class, list)
  end
  say("--- %s", docs.rows[full].summary)
  if docs.rows[full].shapes then
    say("--- %s", docs.rows[full].shapes)
  end
  local names = {}
  for _, word in ipairs(positional) do
    say("---@param %s %s", word, by_name[word] and by_name[word].of or "any")
    names[#names + 1] = word
  end
  if #list > 0 then
    say("---@param options? %s", class)
    names[#names + 1] = "options"
  end
  say "---@param ... any"
  names[#names + 1] = "..."
  if of then
    say("---@return %s", of)
  end
  if #list > 0 and #positional > 0 then
    say("---@overload fun(options: %s)%s", class, of and ": " .. of or "")
  end
  say("function %s%s(%s) end", head, name, table.concat(names, ", "))
  say ""
end

local function sorted(t)
  local names = {}
  for name in pairs(t) do
    if type(name) == "string" and not name:find "^_" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function is_class(v)
  return type(v) == "table" and rawget(v, "class_name") ~= nil
end

--- All functions and classes of a part. `full` is its path below mascon.
local function say_part(variable, full, t, only)
  say("---@class mascon%s", full ~= "" and "." .. full or "")
  for _, name in ipairs(sorted(t)) do
    local v = t[name]
    if type(v) == "number" or type(v) == "string" then
      say("---@field %s %s", name, type(v))
    end
  end
  if full ~= "" then
    say("local %s = {}", variable)
  end
  say ""
  local head = variable .. "."
  for _, name in ipairs(sorted(t)) do
    local v, path_below = t[name], (full ~= "" and full .. "." or "") .. name
    if only and not name:find(only) then -- luacheck: ignore 542
    elseif is_class(v) and name ~= "Module" then
      local class = "mascon." .. path_below
      say("---@class %s: mascon.nn.Module", class)
      say "---@operator call(any): mascon.Tensor"
      say ""
      if docs.rows[path_below] then
        say_constructor(head, path_below, name, v, class)
      else
        say("---@return %s", class)
        say("function %s%s(...) end", head, name)
        say ""
      end
    elseif type(v) == "function" then
      if docs.rows[path_below] and docs.rows[path_below].before then
        say_constructor(head, path_below, name, v)
      else
        say_function(head, name, v)
      end
    end
  end
end

-- The file --------------------------------------------------------------------------------------------------

say "--- What editors complete and explain, in LuaCATS annotations. Made by the build; not loaded by anything."
say "---@meta _"
say "-- luacheck: ignore"
say ""
say '---@alias mascon.dtype "float64"|"float32"|"bfloat16"|"float16"|"int64"|"int32"|"uint8"|"bool"'
say ""

local creators = {}
for name, f in pairs(require "mascon.create") do
  creators[f] = name
end

say "---@class mascon"
local parts = { nn = "mascon.nn", optim = "mascon.optim", data = "mascon.data", datasets = "mascon.datasets",
  transforms = "mascon.transforms", metrics = "mascon.metrics", plot = "mascon.plot", image = "mascon.image",
  models = "mascon.models", utils = "mascon.utils", cuda = "mascon.cuda", checkpoint = "mascon.checkpoint" }
for _, name in ipairs(sorted(parts)) do
  say("---@field %s %s", name, parts[name])
end
say "---@field version string"
say "local mascon = {}"
say ""

say "---@class mascon.Tensor"
for _, name in ipairs { "add", "sub", "mul", "div", "pow" } do
  say("---@operator %s(mascon.Tensor|number): mascon.Tensor", name)
end
say "---@operator unm: mascon.Tensor"
say "---@operator len: integer"
say "---@field is_leaf boolean"
say "---@field [integer] mascon.Tensor"
say "local Tensor = {}"
say ""

for _, name in ipairs(sorted(tensor.methods)) do
  say_function("Tensor:", name, tensor.methods[name])
end

local is_op = {}
for _, row in ipairs(op.list()) do
  if not rows.has(row, rows.BACKWARD) and not rows.has(row, rows.HIDDEN) and not rawget(mascon, row.name)
    or row.name == "range" then
    is_op[row.name] = rawget(mascon, row.name) == nil
  end
end
for _, row in ipairs(op.list()) do
  if is_op[row.name] then
    say_op(row)
  end
end

local functions = {}
for name, v in pairs(mascon) do
  functions[name] = v
end
for name in pairs(getmetatable(mascon).parts) do
  functions[name] = mascon[name]
end
for _, name in ipairs(sorted(functions)) do
  local v = functions[name]
  if type(v) == "function" and not is_op[name] then
    if docs.rows[name] and docs.rows[name].before then
      say_constructor("mascon.", name, name, v, creators[v] and "mascon.Tensor" or nil)
    else
      say_function("mascon.", name, v, creators[v] and "mascon.Tensor" or nil)
    end
  elseif type(v) == "table" and not parts[name] then
    say("---@type any")
    say("mascon.%s = nil", name)
    say ""
  end
end

say "---@class mascon.nn"
say "---@field Module mascon.nn.Module"
say "---@field functional mascon.nn.functional"
say "---@field init mascon.nn.init"
say "---@field utils mascon.nn.utils"
say ""
say "--- A module is called with what its forward takes."
say "---@class mascon.nn.Module"
say "---@operator call(any): mascon.Tensor"
say ""
say_part("nn", "nn", mascon.nn)
say_part("init", "nn.init", mascon.nn.init)
say_part("nn_utils", "nn.utils", mascon.nn.utils)
say_part("functional", "nn.functional", require("mascon.nn.composed").functions)
for _, row in ipairs(op.list()) do
  if is_op[row.name] then
    say("functional.%s = mascon.%s", row.name, row.name)
  end
end
say ""
say "---@class mascon.optim"
say "---@field lr_scheduler mascon.optim.lr_scheduler"
say ""
say_part("optim", "optim", mascon.optim)
say_part("lr_scheduler", "optim.lr_scheduler", mascon.optim.lr_scheduler)
say_part("data", "data", mascon.data)
say_part("datasets", "datasets", mascon.datasets)
say_part("transforms", "transforms", mascon.transforms, "^%u") -- the others are for its own files
for _, name in ipairs { "metrics", "plot", "image", "models", "utils", "cuda", "checkpoint" } do
  say_part(name, name, mascon[name])
end
say "return mascon"

local file = assert(io.open(path, "w"))
file:write(table.concat(out, "\n"), "\n")
file:close()
