-- Metrics: scikit-learn's figures (spec/golden/metrics.lua), batch by batch and at once.
local mascon = require "mascon"
local metrics = mascon.metrics

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

local function near(expected, got, what)
  assert.is_true(math.abs(expected - got) < 1e-12, ("%s: %.15g against %.15g"):format(what, expected, got))
end

local function each_case(fn)
  for _, case in ipairs(dofile "spec/golden/metrics.lua") do
    fn(case)
  end
end

--- A matrix with all samples of a case, in batches of three.
local function matrix_of(case, n)
  local matrix = metrics.ConfusionMatrix(n)
  for first = 1, #case.labels, 3 do
    local p, y = {}, {}
    for i = first, math.min(first + 2, #case.labels) do
      p[#p + 1], y[#y + 1] = case.predicted[i], case.labels[i]
    end
    matrix:update(mascon.tensor(p, { dtype = "int64" }), y)
  end
  return matrix
end

describe("metrics", function()
  it("are scikit-learn's", function()
    each_case(function(case)
      local p, y = case.predicted, mascon.tensor(case.labels, { dtype = "int64" })
      near(case.accuracy, metrics.accuracy(p, y), case.name)
      for _, score in ipairs { "precision", "recall", "f1" } do
        for _, average in ipairs { "macro", "micro", "weighted" } do
          near(case[score .. "_" .. average], metrics[score .. "_score"](p, y, { average = average }),
            case.name .. " " .. score .. " " .. average)
        end
        near(case[score .. "_macro"], metrics[score .. "_score"](p, y), case.name)
        local list = metrics[score .. "_score"](p, y, { average = "none" })
        for i, class in ipairs(case.occurring) do
          near(case[score .. "_none"][i], list[class], case.name)
        end
      end
    end)
  end)

  it("are the same from a matrix that was filled in batches", function()
    each_case(function(case)
      for _, more in ipairs { 0, 4 } do -- classes that never occur change nothing
        local matrix = matrix_of(case, case.occurring[#case.occurring] + more)
        near(case.accuracy, matrix:accuracy(), case.name)
        for _, score in ipairs { "precision", "recall", "f1" } do
          near(case[score .. "_macro"], matrix[score](matrix), case.name)
          for _, average in ipairs { "macro", "micro", "weighted" } do
            near(case[score .. "_" .. average], matrix[score](matrix, average), case.name)
          end
        end
      end
    end)
  end)

  it("give the matrix as counts and as shares", function()
    each_case(function(case)
      local matrix = matrix_of(case, case.occurring[#case.occurring] + 1)
      local counts = matrix:values()
      assert.equal("int64", counts.dtype)
      for i, a in ipairs(case.occurring) do
        for j, b in ipairs(case.occurring) do
          assert.equal(case.counts[i][j], counts[{ a, b }]:item())
        end
      end
      for _, how in ipairs { "true", "pred", "all" } do
        local values = matrix:values { normalize = how }:totable()
        assert.equal(0, values[#values][#values])
        for i, a in ipairs(case.occurring) do
          for j, b in ipairs(case.occurring) do
            assert.is_true(math.abs(values[a][b] - case["normalize_" .. how][i][j]) < 1e-7)
          end
        end
      end
    end)
  end)

  it("write scikit-learn's report", function()
    each_case(function(case)
      local given = { target_names = case.target_names, digits = case.digits }
      local expected = table.concat(case.report, "\n")
      assert.equal(expected, metrics.classification_report(case.predicted, case.labels, given))
      local matrix = matrix_of(case, case.occurring[#case.occurring] + 2)
      assert.equal(expected, matrix:classification_report(given))
      if not case.target_names and case.digits == 2 then
        assert.equal(expected, tostring(matrix))
      end
    end)
  end)

  it("take the names of classes by number where some never occur", function()
    local text = metrics.classification_report({ 1, 3 }, { 3, 3 }, { target_names = { "a", "b", "c" } })
    assert.truthy(text:find "\n +a ")
    assert.is_nil(text:find "\n +b ")
    assert.truthy(text:find "\n +c ")
  end)

  it("take scores, forget on reset, and are 0 for nothing", function()
    local matrix = metrics.ConfusionMatrix(6)
    matrix:update(mascon.tensor { { 0, 3, 1, 0, 0, 0 }, { 9, 1, 2, 0, 0, 0 } }, { 2, 1 })
    assert.equal(1, matrix:accuracy())
    assert.equal(1, metrics.accuracy(mascon.tensor { { 0, 3 }, { 9, 1 } }, { 2, 1 }))
    assert.equal(0, matrix:reset():accuracy())
    assert.equal(0, matrix:f1())
    assert.equal(0, matrix:values():sum():item())
    assert.equal(0, metrics.f1_score({}, {}))
    assert.same({ 0, 0, 0, 0, 0, 0 }, matrix:recall "none")
  end)

  it("refuse bad labels", function()
    local matrix = metrics.ConfusionMatrix(3)
    assert.truthy(message(matrix.update, matrix, { 1, 2 }, { 1, 0 })
      :find("label 2 of the batch is 0; classes run 1..3\nhint: labels counted from 0?", 1, true))
    assert.truthy(message(matrix.update, matrix, { 1, 4 }, { 1, 1 })
      :find("prediction 2 of the batch is 4", 1, true))
    assert.equal(0, matrix:accuracy())
    assert.truthy(message(metrics.accuracy, { 1 }, { 1, 2 })
      :find("accuracy: 1 predictions but 2 labels", 1, true))
    assert.truthy(message(metrics.f1_score, { 1, "cat" }, { 1, 2 })
      :find('prediction 2 of the batch is "cat"', 1, true))
    assert.truthy(message(metrics.f1_score, { 1.5 }, { 1 }):find("prediction 1 of the batch is 1.5", 1, true))
    assert.truthy(message(metrics.f1_score, { 2 ^ 40 }, { 1 }):find("classes run 1..1048576", 1, true))
    assert.truthy(message(metrics.accuracy, 5, { 1 }):find("argument 1 is 5; expected a tensor", 1, true))
    assert.truthy(message(matrix.f1, matrix, "makro"):find('average is "makro"', 1, true))
    assert.truthy(message(matrix.values, matrix, { normalize = "rows" }):find("expected one of true", 1, true))
    assert.truthy(message(metrics.ConfusionMatrix, 0):find("must be 1 or more", 1, true))
    assert.truthy(message(metrics.classification_report, { 1, 4 }, { 2, 1 }, { target_names = { "a" } })
      :find("target_names has 1 names; the classes go up to 4", 1, true))
  end)
end)
