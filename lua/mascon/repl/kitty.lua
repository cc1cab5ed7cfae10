--- Pictures in the terminal by the kitty graphics protocol
-- (https://sw.kovidgoyal.net/kitty/graphics-protocol/): the bytes of a picture in base64, in pieces of at
-- most 4096 characters, each in an escape sequence ESC _ G keys ; piece ESC \.

local M = {}

local PIECE = 4096
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local pairs_of = {} -- 12 bits -> two characters

local function fill_pairs()
  for i = 0, 4095 do
    local a, b = math.floor(i / 64) + 1, i % 64 + 1
    pairs_of[i] = alphabet:sub(a, a) .. alphabet:sub(b, b)
  end
end

--- Base64 (RFC 4648) of a string.
---@param s string
---@return string
function M.base64(s)
  if not pairs_of[0] then
    fill_pairs()
  end
  local out, n = {}, 0
  for i = 1, #s - 2, 3 do
    local a, b, c = s:byte(i, i + 2)
    out[n + 1] = pairs_of[a * 16 + math.floor(b / 16)]
    out[n + 2] = pairs_of[b % 16 * 256 + c]
    n = n + 2
  end
  local left = #s % 3
  if left > 0 then
    local a, b = s:byte(#s - left + 1, #s)
    local first = pairs_of[a * 16 + math.floor((b or 0) / 16)]
    out[n + 1] = first .. (left == 1 and "==" or pairs_of[b % 16 * 256]:sub(1, 1) .. "=")
  end
  return table.concat(out)
end

--- The sequences that show a picture at the cursor.
---@param bytes string
---@param keys string what the bytes are: "f=100" (a PNG file) or "f=24,s=WIDTH,v=HEIGHT" (RGB)
---@return string
function M.sequences(bytes, keys)
  local text = M.base64(bytes)
  local out = {}
  for from = 1, #text, PIECE do
    local more = from + PIECE <= #text and 1 or 0
    -- q=2: the terminal answers nothing
    local head = from == 1 and ("a=T,q=2,%s,m=%d"):format(keys, more) or ("q=2,m=%d"):format(more)
    out[#out + 1] = ("\27_G%s;%s\27\\"):format(head, text:sub(from, from + PIECE - 1))
  end
  return table.concat(out)
end

return M
