--- Colours of the session: only on a terminal, and not where NO_COLOR is set.

local layer = require "mascon.ffi"

local M = {}

M.on = layer.isatty(1) and (os.getenv "NO_COLOR" or "") == "" and os.getenv "TERM" ~= "dumb"
--- Whether the terminal shows 24-bit colours; 256 otherwise.
M.true_color = (os.getenv "COLORTERM" or ""):find "truecolor" ~= nil
  or (os.getenv "COLORTERM" or ""):find "24bit" ~= nil

local codes = { error = "31", hint = "36", head = "1", dim = "2", prompt = "32" }

--- The text in a style: "error", "hint", "head", "dim" or "prompt".
---@param style string
---@param text string
function M.paint(style, text)
  return M.on and ("\27[%sm%s\27[0m"):format(codes[style], text) or text
end

--- A prompt for the line editor, which must know what has no width, and drops that at the very end.
---@param mark string what stands before the space
function M.prompt(mark)
  return (M.on and ("\1\27[%sm\1%s\1\27[0m\1"):format(codes.prompt, mark) or mark) .. " "
end

return M
