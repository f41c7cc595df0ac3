export const widgets = () => undefined;
