--- The rows of the C table of operations, read once each.

local layer = require "mascon.ffi"

local C = layer.C
local M = {}

-- ORDER: the flags of lib/core/op.h
M.BACKWARD, M.LIST, M.RANDOM, M.IN_PLACE, M.HIDDEN = 2, 8, 16, 128, 1024

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
  row.required = 0 -- position of the last input that must be given
  for i, input in ipairs(row.inputs) do
    row.required = input.optional and row.required or i
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
    row.backward = M.has(row, M.BACKWARD)
    list[#list + 1] = row
  end
  return list
end

--- Whether a row has a flag.
function M.has(row, flag)
  return row.flags % (2 * flag) >= flag
end

return M
