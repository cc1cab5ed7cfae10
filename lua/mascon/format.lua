--- Readable text of tensors: aligned, shortened, with shape, dtype and device.

local M = {}

-- Beyond this many elements only the edges are shown.
local THRESHOLD, EDGE, WIDTH = 1000, 3, 80

local function is_whole(v)
  return v ~= v or math.abs(v) == math.huge or v == math.floor(v)
end

local function special(v)
  if v ~= v then
    return "nan"
  elseif v == math.huge then
    return "inf"
  elseif v == -math.huge then
    return "-inf"
  end
end

--- Chooses one format for all shown values, as PyTorch does: whole, fixed or scientific.
local function chooser(values, dtype)
  if dtype == "bool" then
    return function(v) return v ~= 0 and "true" or "false" end
  elseif dtype:match "int" then
    return function(v) return ("%d"):format(v) end
  end
  local whole, least, most = true, math.huge, 0
  for _, v in ipairs(values) do
    whole = whole and is_whole(v)
    if v == v and v ~= 0 and math.abs(v) < math.huge then
      least, most = math.min(least, math.abs(v)), math.max(most, math.abs(v))
    end
  end
  local format = "%.4f"
  if whole then
    format = most > 1e8 and "%.4e" or "%.0f."
  elseif most > 1e8 or least < 1e-4 or most / least > 1e4 and most >= 1e4 then
    format = "%.4e"
  end
  return function(v) return special(v) or format:format(v) end
end

--- Positions to show along a dimension: all, or the first and last with a gap (0).
local function shown(size, shorten)
  local list = {}
  for i = 1, size do
    if not shorten or size <= 2 * EDGE or i <= EDGE or i > size - EDGE then
      list[#list + 1] = i
    elseif i == EDGE + 1 then
      list[#list + 1] = 0
    end
  end
  return list
end

local function strides_of(shape)
  local strides, step = {}, 1
  for d = #shape, 1, -1 do
    strides[d], step = step, step * shape[d]
  end
  return strides
end

local function gather(shape, strides, value_at, shorten)
  local values = {}
  local function walk(depth, offset)
    if depth > #shape then
      values[#values + 1] = value_at(offset)
      return
    end
    for _, i in ipairs(shown(shape[depth], shorten)) do
      if i > 0 then
        walk(depth + 1, offset + (i - 1) * strides[depth])
      end
    end
  end
  walk(1, 0)
  return values
end

local function row_text(cells, indent)
  local lines, line = {}, ""
  for i, cell in ipairs(cells) do
    local piece = cell .. (i < #cells and ", " or "")
    if #line + #piece + #indent > WIDTH and line ~= "" then
      lines[#lines + 1] = (line:gsub(" +$", ""))
      line = ""
    end
    line = line .. piece
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. indent)
end

--- The text of a tensor.
---@param t any
---@param read function gives the values as a C array and their number
---@return string
function M.tensor(t, read)
  local released = not pcall(function() return t.shape end)
  if released then
    return "tensor(released)"
  end
  local shape, dtype = t.shape, t.dtype
  local ending = ("%s {%s} %s"):format(dtype, table.concat(shape, ", "), t.device)
  if t.requires_grad then
    ending = ending .. " requires_grad"
  end
  local data, n = read(t, "tostring")
  if n == 0 then
    return ("tensor({}, %s)"):format(ending)
  end
  local shorten = n > THRESHOLD
  local strides = strides_of(shape)
  local values = gather(shape, strides, function(i) return data[i] end, shorten)
  local text = chooser(values, dtype)
  local cell_width = 0
  for _, v in ipairs(values) do
    cell_width = math.max(cell_width, #text(v))
  end
  local function cell(offset)
    local s = text(data[offset])
    return (" "):rep(#shape > 0 and cell_width - #s or 0) .. s
  end
  local function build(depth, offset)
    if depth > #shape then
      return cell(offset)
    end
    local indent = (" "):rep(depth + 7)
    local parts = {}
    for _, i in ipairs(shown(shape[depth], shorten)) do
      parts[#parts + 1] = i == 0 and "..." or build(depth + 1, offset + (i - 1) * strides[depth])
    end
    if depth == #shape then
      return "{" .. row_text(parts, indent) .. "}"
    end
    local gap = ",\n" .. ("\n"):rep(#shape - depth - 1) .. indent
    return "{" .. table.concat(parts, gap) .. "}"
  end
  local body = build(1, 0)
  local separator = (#shape > 1 or #body + #ending > WIDTH) and ",\n       " or ", "
  return ("tensor(%s%s%s)"):format(body, separator, ending)
end

return M
