--- Lua functions for the operations of the C table: tensors first, then options by position or by name
-- in a trailing table.

local compile = require "mascon.op.compile"
local general = require "mascon.op.general"
local layer = require "mascon.ffi"
local marshal = require "mascon.op.marshal"
local recording = require "mascon.recording"
local rows = require "mascon.op.rows"

local call, invoke, settle = layer.call, layer.invoke, layer.settle

local M = {
  row = rows.row,
  list = rows.list,
  dtype = marshal.dtype,
  device = marshal.device,
  prepare = compile.prepare,
}

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
  local row = rows.row(base)
  if not row or rows.has(row, rows.BACKWARD) or rows.has(row, rows.HIDDEN)
    or (base ~= name and not rows.has(row, rows.IN_PLACE)) then
    functions[name] = false
    return nil
  end
  if rows.has(row, rows.LIST) then
    f = function(tensors, ...)
      return general.list_call(row, row.name, tensors, ...)
    end
  elseif #row.inputs == 0 then
    f = function(...)
      return general.general(row, row.name, false, select("#", ...), ...)
    end
  else
    f = compile.make(row, base ~= name)
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
  return general.general(rows.row(name), prefix, in_place, select("#", ...), ...)
end

--- Runs an optimizer op over groups of tensors in one flat list.
---@param name string
---@param tensors table list: params, then gradients, and so on
---@param given table options by name
---@return integer id of the op
---@return integer? first the recorded kernel runs, while there is a recording, from `first`
---@return integer? last to before `last`
function M.run_list(name, tensors, given)
  local row = rows.row(name)
  general.begin(row)
  call.n_src = 0
  call.flags = 0
  marshal.put_named(row, name, given)
  local handles, n = layer.handles(tensors)
  local first = recording.count()
  call.list, call.n_list = handles, n
  invoke(name)
  call.list, call.n_list = nil, 0
  settle()
  return row.id, first, recording.count()
end

return M
