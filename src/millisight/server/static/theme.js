// Before anything is painted: the theme chosen earlier, if one was and may be read.
let theme;
try {
  theme = localStorage.getItem("millisight.theme");
} catch {}
document.documentElement.dataset.theme = ["light", "dark"].includes(theme) ? theme : "auto";
