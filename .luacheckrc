-- Settings of luacheck (scripts/check runs it).
std = "luajit"
max_line_length = 120
self = false
files["spec"] = { std = "luajit+busted" }
-- Commands of a shell stay in one line.
for _, name in ipairs { "docs", "embedding", "install" } do
  files["spec/" .. name .. "_spec.lua"] = { std = "luajit+busted", max_line_length = 150 }
end
-- The hosts of the recipes bring globals of their own.
files["examples/embed/neovim"] = { globals = { "vim" } }
files["examples/embed/nginx"] = { globals = { "ngx" } }
files["examples/embed/love"] = { globals = { "love" } }
