--- The lines typed in earlier sessions, kept as plain text: one line each, the newest last.
-- Lines are appended as they are typed, so that sessions side by side and one that is killed lose nothing.
-- The file's rights and locks are lib/program/history.c.

local M = {}

local KEPT, MOST = 1000, 2000 -- the file is cut to KEPT lines when it has more than MOST

--- Where the lines are kept; nil where they are not: MASCON_HISTORY names the file, and with an empty
--- value there is none.
---@return string?
function M.path()
  local given = os.getenv "MASCON_HISTORY"
  if given then
    return given ~= "" and given ~= "/dev/null" and given or nil
  end
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if not state or state:sub(1, 1) ~= "/" then -- a relative path counts as none
    state = home and home:sub(1, 1) == "/" and home .. "/.local/state"
  end
  return state and state .. "/mascon/history" or nil
end

--- Gives the kept lines to the editor, the oldest first.
---@param terminal table remember(line), trim(path, most, kept): false where that is no plain file
function M.load(terminal)
  local path = M.path()
  local plain = path and terminal.trim(path, MOST, KEPT)
  local file = plain and io.open(path)
  local lines = {}
  if file then
    for line in (file:read "*a" or ""):gmatch "[^\n]+" do -- nil for a folder
      lines[#lines + 1] = line
    end
    file:close()
  end
  for i = math.max(1, #lines - KEPT + 1), #lines do
    terminal.remember(lines[i])
  end
end

local last
local stopped = false

--- Keeps a line for later sessions. Where that fails, the reason is returned once and no more is tried.
---@param terminal table keep(path, line)
---@param line string
---@return string?
function M.add(terminal, line)
  local path = M.path()
  if stopped or line == last or not path or not line:find "%S" then
    return nil
  end
  last = line
  local good, why = terminal.keep(path, line)
  if not good then
    stopped = true
    return ("the history is not kept: %s: %s"):format(path, why)
  end
end

return M
