--- Widths of texts in UTF-8: counting, padding and shortening by characters.

local M = {}

local CHARACTER = "[%z\1-\127\194-\244][\128-\191]*"

--- The number of characters.
---@param s string
---@return integer
function M.width(s)
  return select(2, s:gsub("[^\128-\191]", ""))
end

--- The first n characters.
---@param s string
---@param n integer
---@return string
function M.first(s, n)
  local kept = {}
  for c in s:gmatch(CHARACTER) do
    if #kept >= n then
      break
    end
    kept[#kept + 1] = c
  end
  return table.concat(kept)
end

--- The text, or its beginning and a mark where it has more than `room` characters.
---@param s string
---@param room integer
---@param mark? string "…" otherwise
---@return string
function M.shorten(s, room, mark)
  if M.width(s) <= room then
    return s
  end
  mark = mark or "…"
  return M.first(s, math.max(1, room - M.width(mark))) .. mark
end

--- The text with spaces behind it, or before it where n is negative, up to |n| characters.
---@param s string
---@param n integer
---@return string
function M.pad(s, n)
  local space = (" "):rep(math.abs(n) - M.width(s))
  return n < 0 and space .. s or s .. space
end

--- The text in the middle of n characters; nothing is put behind it.
---@param s string
---@param n integer
---@return string
function M.centre(s, n)
  return (" "):rep(math.floor((n - M.width(s)) / 2)) .. s
end

return M
