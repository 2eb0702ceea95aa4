//! Lists that attend to a target, against an independent PyTorch implementation (tests/golden/din.py), and what must hold of them.

use candle_core::{DType, Device, Tensor, Var};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::loss::{Targets, multi_task_loss};
use homebench_kernels::optimizer::{Adam, AdamConfig, Lists, Pooling, SparseRule};
use homebench_kernels::target_attention::{ElementList, ElementLists};
use homebench_kernels::{Parameter, Role};
use homebench_model::{
    AttendingList, Attention, BuildContext, EmbeddedInput, FeatureDims, FeatureTable, Ids,
    InputColumns, ModelConfig, Ranker, TargetAttention, TaskGroup, TaskLayout, VarBuilder,
    Variables, table_shapes,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a case describes, and its tensors.
struct Case {
    name: String,
    tensors: BTreeMap<String, Tensor>,
    config: ModelConfig,
    layout: TaskLayout,
    dims: FeatureDims,
}

/// The ids of some rows.
struct Rows {
    single: Vec<u32>,
    list_ids: Vec<u32>,
    list_ends: Vec<u32>,
    numeric: Vec<f32>,
    num_rows: usize,
}

impl Rows {
    fn ids(&self) -> Ids<'_> {
        Ids {
            single: &self.single,
            lists: Lists {
                ids: &self.list_ids,
                ends: &self.list_ends,
            },
        }
    }
}

fn text(value: &toml::Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

fn words(value: &toml::Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn feature_dims(input: &toml::Value) -> FeatureDims {
    let shape = |feature: &toml::Value| {
        let shape = input["tables"][&text(feature, "table")].as_array().unwrap();
        [0, 1].map(|place| shape[place].as_integer().unwrap() as usize)
    };
    let features = |key: &str| input[key].as_array().unwrap().iter();
    let pooling = |list: &toml::Value| match list.get("pooling").map(|name| name.as_str().unwrap())
    {
        Some("mean") => Pooling::Mean,
        _ => Pooling::Sum,
    };
    let table = |feature: &toml::Value| {
        let table = FeatureTable {
            name: text(feature, "table"),
            width: shape(feature)[1],
        };
        (text(feature, "name"), table)
    };
    let attending = |(list, target): (&String, &toml::Value)| AttendingList {
        list: list.clone(),
        target: target.as_str().unwrap().to_owned(),
        mean_length: 0.0,
    };
    let attention = input["attention"].as_table().unwrap().iter();
    let hidden = input["hidden_dims"].as_array().unwrap().iter();
    FeatureDims {
        vocabularies: features("single")
            .map(|f| (text(f, "name"), shape(f)[0]))
            .collect(),
        lists: features("lists")
            .map(|f| (text(f, "name"), shape(f)[0], pooling(f)))
            .collect(),
        num_numeric: input["num_numeric"].as_integer().unwrap() as usize,
        embedding_dim: 1,
        tables: features("single")
            .chain(features("lists"))
            .map(table)
            .collect(),
        attention: Attention {
            lists: attention.map(attending).collect(),
            hidden_dims: hidden
                .map(|width| width.as_integer().unwrap() as usize)
                .collect(),
        },
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cases_din");
    let mut files: Vec<PathBuf> = (std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 7);
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let text = &metadata.metadata().as_ref().unwrap()["model"];
    let mut table: toml::Table = text.parse().unwrap();
    let model = table.remove("model").unwrap();
    let tasks = words(&table.remove("tasks").unwrap());
    table.remove("groups");
    let input = table.remove("input").unwrap();
    let loaded = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    Case {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        tensors: loaded.into_iter().collect(),
        config: ModelConfig::from_table(model.as_str().unwrap(), &table).unwrap(),
        layout: TaskLayout {
            groups: vec![TaskGroup {
                name: "all".to_owned(),
                tasks: (0..tasks.len()).collect(),
            }],
            tasks,
        },
        dims: feature_dims(&input),
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

/// Fails unless every value is within `tolerance` of the largest expected one.
fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * scale,
            "{what} [{index}]: expected {b}, found {a} (scale {scale})"
        );
    }
}

impl Case {
    fn tensor(&self, name: &str) -> &Tensor {
        let tensor = self.tensors.get(name);
        tensor.unwrap_or_else(|| panic!("{}: no `{name}`", self.name))
    }

    fn rows(&self, prefix: &str) -> Rows {
        let of = |name: &str| values(self.tensor(&format!("{prefix}{name}")));
        let ids = |name: &str| of(name).into_iter().map(|id| id as u32).collect();
        Rows {
            num_rows: self.tensor(&format!("{prefix}labels")).dim(0).unwrap(),
            single: ids("single"),
            list_ids: ids("lists/ids"),
            list_ends: ids("lists/ends"),
            numeric: of("numeric"),
        }
    }

    fn build(&self) -> Built {
        let weights = self.tensors.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix("w/")?.to_owned(), tensor.clone()))
        });
        let vb = VarBuilder::from_weights(weights.collect(), DType::F32, &Device::Cpu);
        Built::new(&self.config, &self.layout, &self.dims, &vb)
    }

    fn targets(&self) -> Targets {
        Targets::new(values(self.tensor("labels")))
    }
}

/// A model behind its input.
struct Built {
    model: Box<dyn Ranker>,
    attention: TargetAttention,
    input: EmbeddedInput,
    variables: Variables,
    /// Paths of tables.
    tables: Vec<String>,
}

impl Built {
    fn new(config: &ModelConfig, layout: &TaskLayout, dims: &FeatureDims, vb: &VarBuilder) -> Self {
        let tables = config.tables();
        let context = BuildContext {
            layout,
            input_dim: dims.input_dim(),
            num_embedded: dims.num_embedded(),
            input_per_task: tables.per_task(),
            columns: InputColumns::default(),
            after: &[],
        };
        let model = config.build(&context, vb).unwrap();
        let attention = TargetAttention::new(dims, layout, tables, vb)
            .unwrap()
            .unwrap();
        let rule = SparseRule::Adam(AdamConfig::default());
        Self {
            model,
            attention,
            input: EmbeddedInput::new(dims, layout, tables, rule, vb).unwrap(),
            variables: vb.finish().unwrap(),
            tables: table_shapes(dims, layout, tables)
                .into_iter()
                .map(|(path, _)| path)
                .collect(),
        }
    }

    /// The leaf, and what the model reads.
    fn read(&self, rows: &Rows, dropout: Option<&Dropout>) -> (Var, Tensor) {
        let ids = rows.ids();
        let packed = self
            .input
            .gather(ids, &rows.numeric, rows.num_rows, dropout)
            .unwrap();
        let xs = self.attention.forward(&packed, ids, dropout).unwrap();
        (packed, xs)
    }

    fn dense(&self) -> Vec<Parameter> {
        let all = self.variables.parameters().iter();
        let is_dense = |p: &&Parameter| {
            p.role() == Role::Trained && !self.tables.iter().any(|path| path == p.path())
        };
        all.filter(is_dense).cloned().collect()
    }
}

#[test]
fn logits_and_inputs_agree() {
    for case in cases() {
        let built = case.build();
        let (_, xs) = built.read(&case.rows(""), None);
        assert_eq!(xs.dims(), case.tensor("train/input").dims());
        let expected = values(case.tensor("train/input"));
        assert_close(&case.name, &values(&xs), &expected, 1e-6);
        let logits = built.model.forward_t(&xs, true, None).unwrap();
        assert_close(
            &case.name,
            &values(&logits),
            &values(case.tensor("train/logits")),
            1e-5,
        );
        let (_, xs) = built.read(&case.rows("eval/"), None);
        let logits = built.model.forward_t(&xs, false, None).unwrap();
        assert_close(
            &case.name,
            &values(&logits),
            &values(case.tensor("eval/logits")),
            1e-5,
        );
    }
}

/// The gradients of tables by path, from that of the packed leaf, element by element and without the operators that update tables.
fn of_tables(
    case: &Case,
    built: &Built,
    rows: &Rows,
    packed: &[f32],
) -> BTreeMap<String, Vec<f32>> {
    let dims = &case.dims;
    let num_sets = case.config.tables().num_sets(case.layout.tasks.len());
    let width = |feature: &str| dims.table_of(feature).1;
    let list_of = |row: usize, place: usize| {
        let index = row * dims.lists.len() + place;
        let start = if index == 0 {
            0
        } else {
            rows.list_ends[index - 1]
        };
        &rows.list_ids[start as usize..rows.list_ends[index] as usize]
    };
    let single: Vec<&str> = dims
        .vocabularies
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let attends = |name: &str| dims.attention.lists.iter().any(|list| list.list == name);
    // Where everything lies is told by the operators' own layout, made here from the names.
    let mut column = single.iter().map(|name| width(name)).sum();
    let mut placed = Vec::new();
    for (place, (name, ..)) in dims.lists.iter().enumerate() {
        if attends(name) {
            let mut total = 0;
            let ends = (0..rows.num_rows).map(|row| {
                total += list_of(row, place).len() as u32;
                total
            });
            placed.push(ElementList {
                // Any column that is no list's.
                target: 0,
                columns: column,
                width: width(name),
                ends: ends.collect(),
            });
        }
        column += width(name);
    }
    let lists = ElementLists::new(num_sets, rows.num_rows, dims.input_dim(), placed).unwrap();
    let mut found: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for parameter in built.variables.parameters() {
        if built.tables.iter().any(|path| path == parameter.path()) {
            found.insert(
                parameter.path().to_owned(),
                vec![0.0; parameter.num_elements()],
            );
        }
    }
    let per_set = built.tables.len() / num_sets;
    for set in 0..num_sets {
        let paths = &built.tables[set * per_set..(set + 1) * per_set];
        let mut add = |feature: &str, id: u32, slopes: &[f32], share: f32| {
            let end = format!("embedding.{}.weight", dims.table_of(feature).0);
            let path = paths.iter().find(|path| path.ends_with(&end)).unwrap();
            let row = &mut found.get_mut(path).unwrap()[id as usize * slopes.len()..];
            row.iter_mut()
                .zip(slopes)
                .for_each(|(sum, slope)| *sum += slope * share);
        };
        let of_rows = &packed[lists.rows(set)];
        let mut cursors = vec![0; dims.attention.lists.len()];
        for (row, slopes) in of_rows.chunks_exact(dims.input_dim()).enumerate() {
            let mut column = 0;
            for (place, name) in single.iter().enumerate() {
                let id = rows.single[row * single.len() + place];
                add(name, id, &slopes[column..column + width(name)], 1.0);
                column += width(name);
            }
            let mut attending = 0;
            for (place, (name, _, pooling)) in dims.lists.iter().enumerate() {
                let ids = list_of(row, place);
                let own = &slopes[column..column + width(name)];
                column += width(name);
                if attends(name) {
                    assert!(own.iter().all(|slope| *slope == 0.0));
                    let elements = &packed[lists.elements(set, attending)];
                    for id in ids {
                        let start = cursors[attending];
                        add(name, *id, &elements[start..start + width(name)], 1.0);
                        cursors[attending] += width(name);
                    }
                    attending += 1;
                } else {
                    let share = match pooling {
                        Pooling::Sum => 1.0,
                        Pooling::Mean => 1.0 / ids.len().max(1) as f32,
                    };
                    ids.iter().for_each(|id| add(name, *id, own, share));
                }
            }
        }
    }
    found
}

#[test]
fn gradients_of_units_and_tables_agree() {
    for case in cases() {
        let (built, rows) = (case.build(), case.rows(""));
        let (packed, xs) = built.read(&rows, None);
        let logits = built.model.forward_t(&xs, true, None).unwrap();
        let loss = multi_task_loss(&logits, &case.targets()).unwrap();
        let name = &case.name;
        assert_close(
            name,
            &values(&loss),
            &values(case.tensor("train/loss")),
            1e-5,
        );
        let gradients = loss.backward().unwrap();
        let of_packed = values(gradients.get(&packed).unwrap());
        let mut found = of_tables(&case, &built, &rows, &of_packed);
        for parameter in built.dense() {
            parameter.collect(&gradients).unwrap();
            let gradient = parameter.gradient();
            let gradient =
                gradient.unwrap_or_else(|| panic!("{name}: none of {}", parameter.path()));
            found.insert(parameter.path().to_owned(), gradient);
        }
        let expected = case
            .tensors
            .keys()
            .filter_map(|key| key.strip_prefix("grad/"));
        assert!(expected.eq(found.keys()), "{name}");
        for (path, found) in &found {
            let expected = values(case.tensor(&format!("grad/{path}")));
            assert_close(&format!("{name} {path}"), found, &expected, 1e-4);
        }
    }
}

#[test]
fn twenty_adam_steps_stay_together() {
    for case in cases() {
        let (mut built, rows) = (case.build(), case.rows(""));
        let dense = built.dense();
        let mut adam = Adam::new(&dense, AdamConfig::default());
        let mut losses = Vec::new();
        for _ in 0..20 {
            let (packed, xs) = built.read(&rows, None);
            let logits = built.model.forward_t(&xs, true, None).unwrap();
            let loss = multi_task_loss(&logits, &case.targets()).unwrap();
            losses.push(loss.to_scalar::<f32>().unwrap());
            let gradients = loss.backward().unwrap();
            for parameter in &dense {
                parameter.collect(&gradients).unwrap();
            }
            adam.step(1e-2).unwrap();
            let of_packed = gradients.get(&packed).unwrap();
            built
                .input
                .update(rows.ids(), of_packed, None, 1e-2)
                .unwrap();
        }
        assert_close(
            &case.name,
            &losses,
            &values(case.tensor("adam/losses")),
            1e-3,
        );
        for parameter in built.variables.parameters() {
            let what = format!("{} {} after 20 steps", case.name, parameter.path());
            let expected = values(case.tensor(&format!("adam/final/{}", parameter.path())));
            assert_close(&what, &values(parameter.tensor()), &expected, 1e-3);
        }
    }
}
