-- Settings of luacheck (scripts/check runs it).
std = "luajit"
max_line_length = 120
self = false
files["spec"] = { std = "luajit+busted" }
