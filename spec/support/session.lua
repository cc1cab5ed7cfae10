--- Plays a user at the program on a pseudo-terminal (spec/support/pty.c).

local shell = require "spec.support.shell"

local M = {}

M.program = os.getenv "MASCON_PROGRAM" or "build/mascon"
local pty = (M.program:match "^.*/" or "./") .. "mascon_pty"

local file = io.open(pty)
--- Whether the player was built.
M.has_pty = file ~= nil
if file then
  file:close()
end

--- Plays steps at the program ("prompt" and "more" wait for the two prompts); what it printed, the
--- milliseconds of each expectation, its exit status.
---@param steps string lines for spec/support/pty.c
---@param given? table arguments, history (a file; false: where it is by itself), environment
function M.play(steps, given)
  given = given or {}
  local script = shell.temporary((steps:gsub("prompt\n", "expect > \n"):gsub("more\n", "expect >> \n")))
  local environment = given.environment or "NO_COLOR=1"
  local history = given.history == false and "" or ("MASCON_HISTORY='%s'"):format(given.history or "")
  local command = "env -u COLORTERM -u NO_COLOR -u MASCON_GRAPHICS -u MASCON_HISTORY TERM=xterm LC_ALL=C.UTF-8 "
    .. "%s %s %s %s %s < %s 2>&1"
  local pipe = assert(io.popen(command:format(history, environment, pty, M.program, given.arguments or "",
    script)))
  local text = pipe:read "*a"
  pipe:close()
  os.remove(script)
  local body, times, status = text:match "^(.*)\ntimes:([^\n]*)\nstatus (%d+)\n$"
  local list = {}
  for t in times:gmatch "%S+" do
    list[#list + 1] = tonumber(t)
  end
  return body:gsub("\r", ""), list, tonumber(status)
end

return M
