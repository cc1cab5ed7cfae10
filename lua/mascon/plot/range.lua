--- What figures need to know of their numbers.

local M = {}

function M.is_finite(v)
  return v == v and v ~= math.huge and v ~= -math.huge
end

--- Smallest and largest finite values of all series; nil where there are none.
---@param series table[] {x = numbers, y = numbers}
---@param key string "x" or "y"
---@return number?, number?
function M.range(series, key)
  local low, high
  for _, s in ipairs(series) do
    for _, v in ipairs(s[key]) do
      if M.is_finite(v) then
        low, high = math.min(low or v, v), math.max(high or v, v)
      end
    end
  end
  return low, high
end

return M
