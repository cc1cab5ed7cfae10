--- What values have inside: names for completion, and what an expression would be, found without running
-- anything of the user's.

local layer = require "mascon.ffi"
local op = require "mascon.op"
local rows = require "mascon.op.rows"

local C = layer.C
local M = {}

-- An unfinished expression is described by {value = v}, {instance = class}, {tensor = true} (some tensor) or
-- {method = name} (a method of some tensor).

local creators = {}
for name in ("tensor zeros ones full empty eye range arange linspace rand randn randint randperm zeros_like "
  .. "ones_like empty_like full_like rand_like randn_like from_blob stack where load"):gmatch "%S+" do
  creators[name] = true
end

local tensor_fields = { "shape", "dtype", "device", "requires_grad", "is_leaf", "grad" }
-- methods of tensors that give no tensor
local plain = {}
for name in ("size dim numel item totable is_contiguous layout data_ptr split chunk allclose backward"):gmatch "%S+" do
  plain[name] = true
end

local op_list

--- {name, methods = whether it is a method too, in_place} of all ops for users. The rows themselves are
--- read when they are needed.
local function ops()
  if not op_list then
    op_list = {}
    for id = 0, C.mascon_op_count() - 1 do
      local text = layer.string(C.mascon_op_describe(id))
      local row = { flags = tonumber(text:match "\nflags\t(%d+)") }
      if not rows.has(row, rows.BACKWARD) and not rows.has(row, rows.HIDDEN) then
        row.name = layer.string(C.mascon_op_name(id))
        row.is_method = text:find "\ninputs\t[%w_]" ~= nil and not rows.has(row, rows.LIST)
        row.in_place = rows.has(row, rows.IN_PLACE)
        op_list[#op_list + 1] = row
      end
    end
  end
  return op_list
end

local function books_of(v)
  local mt = type(v) == "table" and getmetatable(v)
  return type(mt) == "table" and type(mt.books) == "table" and mt.books or nil
end

-- Names -----------------------------------------------------------------------------------------------------

local function add_keys(set, t, only_functions)
  for name, v in next, t do
    if type(name) == "string" and (not only_functions or type(v) == "function") then
      set[name] = true
    end
  end
end

--- The keys of a table and of the tables behind it.
local function add_chain(set, t, only_functions)
  for _ = 1, 10 do
    if type(t) ~= "table" then
      return
    end
    add_keys(set, t, only_functions)
    local mt = getmetatable(t)
    t = type(mt) == "table" and rawget(mt, "__index") or nil
  end
end

local function add_tensor(set, methods)
  if not methods then
    for _, name in ipairs(tensor_fields) do
      set[name] = true
    end
    return
  end
  add_keys(set, require("mascon.tensor").methods)
  for _, row in ipairs(ops()) do
    if row.is_method then
      set[row.name] = true
      if row.in_place then
        set[row.name .. "_"] = true
      end
    end
  end
end

local function add_module(set, books, methods)
  if not methods then
    add_keys(set, books.values)
    add_keys(set, books.positions or {})
  end
  add_chain(set, books.class, methods)
end

local function add_value(set, v, methods)
  local books = books_of(v)
  if layer.is_tensor(v) then
    add_tensor(set, methods)
  elseif type(v) == "string" then
    add_keys(set, string)
  elseif books then
    add_module(set, books, methods)
  elseif type(v) == "table" then
    add_chain(set, v, methods)
    local mt = getmetatable(v)
    if type(mt) == "table" and type(mt.class) == "table" then -- optimizers
      add_chain(set, mt.class, methods)
    end
    if v == package.loaded["mascon"] then
      add_keys(set, mt.parts)
      for _, row in ipairs(ops()) do
        set[row.name] = true
      end
    elseif v == package.loaded["mascon.nn.functional"] then
      add_keys(set, require("mascon.nn.composed").functions)
      for _, row in ipairs(ops()) do
        set[row.name] = true
      end
    end
  end
end

--- The names after "." or, with methods, after ":".
---@param what table? a description
---@param methods boolean
---@return table<string, boolean>
function M.names(what, methods)
  local set = {}
  if what and what.tensor then
    add_tensor(set, methods)
  elseif what and what.instance then
    add_chain(set, what.instance, methods)
  elseif what and what.value ~= nil then
    add_value(set, what.value, methods)
  end
  return set
end

-- Descriptions ------------------------------------------------------------------------------------------------

--- A field without calling what a script may have put behind it.
local function safe_field(v, name)
  if type(v) == "string" then
    return string[name]
  elseif type(v) ~= "table" then
    return nil
  end
  local books = books_of(v)
  if books then
    local i = books.positions and books.positions[name] or tonumber(name)
    local own = rawget(books.values, name)
    if own == nil and i then
      own = rawget(v, i)
    end
    if own ~= nil then
      return own
    end
    return safe_field(books.class, name)
  end
  for _ = 1, 10 do
    local own = rawget(v, name)
    if own ~= nil then
      return own
    end
    local mt = getmetatable(v)
    local index = type(mt) == "table" and rawget(mt, "__index")
    if type(index) == "table" then
      v = index
    elseif type(index) == "function" and (mt.parts or mt.names or v == package.loaded["mascon.nn"]
      or v == package.loaded["mascon.nn.functional"]) then -- mascon's own tables, which load at first use
      local good, value = pcall(index, v, name)
      return good and value or nil
    else
      return nil
    end
  end
end

function M.global(name)
  local v = safe_field(_G, name)
  return v ~= nil and { value = v } or nil
end

--- The description of what.name.
function M.member(what, name)
  if not what then
    return nil
  elseif what.tensor or layer.is_tensor(what.value) then
    return name == "grad" and { tensor = true } or { method = name }
  end
  local v = safe_field(what.instance or what.value, name)
  return v ~= nil and { value = v } or nil
end

--- The description of what(...).
function M.call(what)
  local v = what and what.value
  if what and what.method then
    return not plain[what.method] and { tensor = true } or nil
  elseif type(v) == "table" and rawget(v, "class_name") then
    return { instance = v }
  elseif books_of(v) or op.docs[v] then
    return { tensor = true }
  elseif type(v) == "function" then
    local mascon = package.loaded["mascon"]
    for name in pairs(creators) do
      if mascon and rawget(mascon, name) == v then
        return { tensor = true }
      end
    end
  end
end

--- What takes the options: a function or class, or nil.
function M.callee(what)
  if not what then
    return nil
  elseif what.method then
    return op.find(what.method) or require("mascon.tensor").methods[what.method]
  end
  return what.value
end

return M
