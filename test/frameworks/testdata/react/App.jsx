export default function App() {
  return <h1>first words</h1>;
}
